"""Promotion: a candidate examined on a pinned snapshot, and the alias moved if the gate says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ml_platform.engine import alias_log, skew
from ml_platform.engine.alias_log import Move
from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.examination import Examined, Promotion, examine, refused
from ml_platform.engine.fitting import CHALLENGER, registered_name
from ml_platform.engine.scored_again import Services
from ml_platform.errors import GateRefusedError, NotFoundError
from ml_platform.records.gate import GateDecision
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

# How often a candidate is examined where each time another champion stands afterwards.
_TURNS = 3


@dataclass(frozen=True)
class Promoted:
    """What became of a promotion.

    champion: the version that serves afterwards; candidate: the one that was examined; opponent: the one that it was
    compared with. moved: whether the alias went to the candidate.
    evaluated: whether anything was scored. told_anew: whether the candidate's evidence is other than before.
    moves: every move of the alias that is known of, the oldest first.
    """

    champion: ModelVersion
    candidate: ModelVersion
    opponent: int | None
    decision: GateDecision
    snapshot: TableVersion
    moved: bool
    evaluated: bool
    told_anew: bool
    moves: tuple[Move, ...]
    seconds: float


def promote(
    promotion: Promotion,
    lakehouse: Lakehouse,
    runner: JobRunner,
    registry: ModelRegistry,
    say: Callable[[str], None],
) -> Promoted:
    """The champion is the candidate if the gate lets it pass, and what it was before if not.

    Both are scored on the candidate's pinned training set. While an endpoint of the model serves other features than
    the offline path gives, nothing new is promoted; nor is, by itself, what somebody took off. Where the alias was
    moved past the gate, that is told with the version that it is found on; where it was so while the candidate was
    examined, it is examined again beside the version that stands now, and is refused where that never ends.
    Raises NotFoundError without a candidate, GateRefusedError where it is refused and no champion stands.
    """
    started = time.monotonic()
    candidate = _candidate(promotion, registry)
    services = Services(lakehouse, runner, registry, say)
    turns = [_turn(promotion, candidate, services, 1)]
    while turns[-1].overtaken and len(turns) < _TURNS:
        turns.append(_turn(promotion, candidate, services, len(turns) + 1))
    last = turns[-1]
    if last.champion is None:
        raise _refused(promotion, candidate, last.examined.decision)
    return Promoted(
        champion=last.champion,
        candidate=candidate,
        opponent=last.examined.opponent,
        decision=last.examined.decision,
        snapshot=last.examined.snapshot,
        moved=last.moved,
        evaluated=any(turn.examined.evaluated for turn in turns),
        told_anew=any(turn.examined.told_anew for turn in turns),
        moves=last.moves,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Turn:
    """One examination, and what became of the alias.

    champion: the version that serves afterwards; None for none. overtaken: whether that is not the one that the
    candidate was compared with, so that nothing was moved. moves: every move that is known of.
    """

    champion: ModelVersion | None
    examined: Examined
    moves: tuple[Move, ...]
    moved: bool = False
    overtaken: bool = False


def _candidate(promotion: Promotion, registry: ModelRegistry) -> ModelVersion:
    found = registry.version(registered_name(promotion.model), CHALLENGER)
    if found is None:
        raise NotFoundError(
            f"{promotion.model} has no candidate, but its gate examines one", remedy=f"Materialize {promotion.model}"
        )
    return found


def _turn(promotion: Promotion, candidate: ModelVersion, services: Services, turn: int) -> _Turn:
    """The candidate examined against the champion that stands, and the alias moved if that one still does then.

    The alias is moved after its evidence stands, never before.
    """
    name, number, registry = candidate.name, candidate.number, services.registry
    known = alias_log.settled(name, registry)
    champion = registry.version(name, CHAMPION)
    stands = _number(champion) == number
    objections = None if stands else partial(_objections, promotion, candidate, services)
    # Read again, for an earlier turn has recorded its evidence.
    examined = examine(promotion, registry.version(name, str(number)) or candidate, champion, services, objections)
    wanted = examined.decision.promoted and not stands
    # Scoring takes its time, in which somebody may have promoted a version that was never compared with.
    told = alias_log.moved_by_gate(name, registry, number, _number(champion)) if wanted else None
    if told is not None:
        return _Turn(candidate, examined, told, moved=True)
    serving = registry.version(name, CHAMPION)
    if not wanted and _number(serving) == _number(champion):
        return _Turn(champion, examined, known)
    examined = refused(examined, candidate, _overtaken(candidate, examined.opponent, serving, turn), registry)
    return _Turn(serving, examined, alias_log.reconciled(name, registry), overtaken=True)


def _objections(promotion: Promotion, candidate: ModelVersion, services: Services) -> list[str]:
    """What speaks against a candidate beside the gate's rules, in the run, in what is served and in what people did."""
    known = alias_log.reconciled(candidate.name, services.registry)
    served = skew.objections(promotion.model, services.lakehouse)
    withheld = [promotion.withheld] if promotion.withheld else []
    return [*withheld, *served, *alias_log.taken_off(known, candidate.number)]


def _overtaken(candidate: ModelVersion, opponent: int | None, serving: ModelVersion | None, turn: int) -> str:
    """Why a version is not promoted that was not compared with the champion, in a sentence."""
    before = "no champion" if opponent is None else f"version {opponent}"
    after = "none" if serving is None else f"version {serving.number}"
    return (
        f"Broken: while version {candidate.number} was examined, turn {turn} of {_TURNS}, the champion was changed "
        f"past this gate: it was held against {before}, and {after} stands now. Run the gate again once nobody else "
        "moves the alias."
    )


def _number(version: ModelVersion | None) -> int | None:
    return version.number if version else None


def _refused(promotion: Promotion, candidate: ModelVersion, decision: GateDecision) -> GateRefusedError:
    became = "is not promoted by this run" if promotion.withheld else "did not pass its gate"
    mended = "Mend the model, or decide on other floors under gate in its defs.yaml"
    return GateRefusedError(
        f"{promotion.model} version {candidate.number} {became}, and no champion stands: {' '.join(decision.reasons)}",
        remedy=f"Materialize {promotion.model}__{CHAMPION} alone" if promotion.withheld else mended,
    )
