"""The alias log: who moved a model's champion, when and why, kept with the versions themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from ml_platform.engine.champion import CHAMPION, version_named
from ml_platform.engine.examination import EVIDENCE
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that holds the moves to it, or away from it where it is to none.
TAG = "promotions"

By = Literal["gate", "command", "hand"]


@dataclass(frozen=True)
class Move:
    """One move of the alias.

    sequence: from 1, over all versions of the model. number, was: the version that it names from then on, and the one
    before; None for none. by: the gate, `ml-platform promote`, or somebody's hand, past both of them. at: UTC, ISO
    8601; of a hand, when it was seen.
    """

    sequence: int
    number: int | None
    was: int | None
    by: By
    at: str
    why: str = ""

    def told(self) -> str:
        """What happened, in a sentence."""
        there = "no version" if self.number is None else f"version {self.number}"
        before = "none" if self.was is None else f"version {self.was}"
        who = {
            "gate": "the gate",
            "command": f"ml-platform promote, for: {self.why}",
            "hand": "hand, past the gate and ml-platform promote",
        }
        when = "seen at" if self.by == "hand" else "at"
        return f"The alias {CHAMPION} went from {before} to {there} by {who[self.by]}, {when} {self.at}."


def moves(versions: Sequence[ModelVersion]) -> tuple[Move, ...]:
    """Every move that the versions of a model tell of, in order."""
    found = [Move(**entry) for version in versions for entry in json.loads(version.tags.get(TAG, "[]"))]
    return tuple(sorted(found, key=lambda move: move.sequence))


def reconciled(name: str, registry: ModelRegistry) -> tuple[Move, ...]:
    """Every move, where the alias stands now told by the last of them: one that nobody told of was made by hand.

    A version without a move that carries its own passed evidence was moved to by a gate that did not get to say so.
    """
    versions = registry.versions(name)
    known = moves(versions)
    standing = next((version for version in versions if CHAMPION in version.aliases), None)
    last = known[-1].number if known else None
    if (standing and standing.number) == last:
        return known
    # The gate moves the alias first and tells of it then: what came in between is no hand's doing.
    unsaid = standing is not None and not any(move.number == standing.number for move in known)
    passed = standing is not None and json.loads(standing.tags.get(EVIDENCE, "{}")).get("decision", {}).get("promoted")
    by: By = "gate" if unsaid and passed else "hand"
    return tell(name, registry, standing.number if standing else None, by)


def tell(name: str, registry: ModelRegistry, number: int | None, by: By, why: str = "") -> tuple[Move, ...]:
    """Every move, the alias' latest to a version among them; a move that was told already is not told again."""
    versions = registry.versions(name)
    known = moves(versions)
    was = known[-1].number if known else None
    if was == number:
        return known
    sequence = known[-1].sequence + 1 if known else 1
    move = Move(sequence, number, was, by, datetime.now(UTC).isoformat(timespec="seconds"), why)
    holder = next(version for version in versions if version.number == (was if number is None else number))
    entries = json.loads(holder.tags.get(TAG, "[]"))
    registry.record(name, holder.number, {TAG: json.dumps([*entries, asdict(move)])})
    return (*known, move)


def taken_off(known: Sequence[Move], number: int) -> tuple[str, ...]:
    """Why a version does not come back by itself, in a sentence; none where nobody took it off but the gate."""
    last = known[-1] if known else None
    if last is None or last.by == "gate" or last.was != number:
        return ()
    told = f"Broken: version {number} was taken off by somebody, and does not come back by itself. {last.told()}"
    return (f"{told} Fit another, or bring it back by ml-platform promote.",)


def promoted_by_command(reference: str, why: str, registry: ModelRegistry) -> tuple[ModelVersion, Move]:
    """The version that goes by a reference, champion from now on, and the move that tells of it.

    reference: as `version_named` takes it. Raises NotFoundError where no version goes by it.
    """
    version = version_named(reference, registry)
    known = reconciled(version.name, registry)
    if CHAMPION in version.aliases:
        return version, known[-1]
    registry.move_alias(version.name, CHAMPION, version.number)
    return version, tell(version.name, registry, version.number, "command", why)[-1]
