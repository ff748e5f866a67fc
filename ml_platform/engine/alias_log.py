"""The alias log: who moved a model's champion, when and why, kept with the versions themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from ml_platform.engine.champion import CHAMPION, version_named
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that holds the moves to it, or away from it where it is to none.
TAG = "promotions"
# The tag of a version that holds the move to it that a gate was about to make; open until any move is told of.
INTENT = "promotion_intended"
_NONE = {INTENT: "null"}

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

    But for one that a gate was about to make, and did not get to tell of.
    """
    return _reconciled(name, registry, registry.versions(name))


def settled(name: str, registry: ModelRegistry) -> tuple[Move, ...]:
    """The same, with no intent left open: what a gate that was killed did not get to do, it is not credited with.

    For a gate only, of which there is one at a time: others would close what it is in the midst of.
    """
    versions = registry.versions(name)
    known = _reconciled(name, registry, versions)
    for number in _intended(versions, known):
        registry.record(name, number, _NONE)
    return known


def moved_by_gate(name: str, registry: ModelRegistry, number: int, was: int | None) -> tuple[Move, ...] | None:
    """Every move, the gate's to a version the last; None, and nothing is moved, where the alias is not where it was.

    was: the champion that the version was compared with.
    """
    if _standing(name, registry) != was:
        return None
    # Told of before it is done, so that a gate that is killed in between is told from a hand.
    intended = _next(moves(registry.versions(name)), number, "gate")
    registry.record(name, number, {INTENT: json.dumps(asdict(intended))})
    if _standing(name, registry) != was:
        registry.record(name, number, _NONE)
        return None
    registry.move_alias(name, CHAMPION, number)
    return tell(name, registry, number, "gate")


def tell(name: str, registry: ModelRegistry, number: int, by: By, why: str = "") -> tuple[Move, ...]:
    """Every move, the alias' latest to a version among them; a move that was told already is not told again."""
    versions = registry.versions(name)
    known = moves(versions)
    if _last(known) == number:
        return known
    return _told(name, registry, versions, _next(known, number, by, why))


def _reconciled(name: str, registry: ModelRegistry, versions: Sequence[ModelVersion]) -> tuple[Move, ...]:
    known = moves(versions)
    number = next((version.number for version in versions if CHAMPION in version.aliases), None)
    if number == _last(known):
        return known
    intended = _intended(versions, known).get(number or 0)
    return _told(name, registry, versions, intended or _next(known, number, "hand"))


def _last(known: Sequence[Move]) -> int | None:
    """Where the alias went last."""
    return known[-1].number if known else None


def _next(known: Sequence[Move], number: int | None, by: By, why: str = "") -> Move:
    """The move that comes after those that are known."""
    sequence = known[-1].sequence + 1 if known else 1
    return Move(sequence, number, _last(known), by, datetime.now(UTC).isoformat(timespec="seconds"), why)


def _told(name: str, registry: ModelRegistry, versions: Sequence[ModelVersion], move: Move) -> tuple[Move, ...]:
    """Every move, with one more that stands with the version that it is to, or from where it is to none."""
    place = move.was if move.number is None else move.number
    holder = next(version for version in versions if version.number == place)
    entries = json.loads(holder.tags.get(TAG, "[]"))
    registry.record(name, holder.number, {TAG: json.dumps([*entries, asdict(move)])})
    return (*moves(versions), move)


def _intended(versions: Sequence[ModelVersion], known: Sequence[Move]) -> dict[int, Move]:
    """Version → the move to it that a gate was about to make, where none was told of since."""
    found = {version.number: json.loads(version.tags.get(INTENT, "null")) for version in versions}
    coming = _next(known, None, "gate").sequence
    return {number: Move(**entry) for number, entry in found.items() if entry and entry["sequence"] == coming}


def _standing(name: str, registry: ModelRegistry) -> int | None:
    version = registry.version(name, CHAMPION)
    return version.number if version else None


def taken_off(known: Sequence[Move], number: int) -> tuple[str, ...]:
    """Why a version does not come back by itself, in a sentence; none where nobody took it off but the gate.

    Whatever was moved since, only who brought it back by `ml-platform promote` lets the gate decide on it again.
    """
    since: Move | None = None
    for move in known:
        if move.was == number and move.by != "gate":
            since = move
        elif move.number == number and move.by == "command":
            since = None
    if since is None:
        return ()
    told = f"Broken: version {number} was taken off by somebody, and does not come back by itself. {since.told()}"
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
