"""Promotion: a candidate examined on a pinned snapshot, and the alias moved if the gate says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ml_platform.engine import alias_log
from ml_platform.engine.alias_log import Move
from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.examination import Promotion, examine
from ml_platform.engine.fitting import CHALLENGER, registered_name
from ml_platform.engine.scored_again import Services
from ml_platform.engine.skew import objections
from ml_platform.errors import GateRefusedError, NotFoundError
from ml_platform.records.gate import GateDecision
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry


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
    moved past the gate, that is told with the version that it is found on.
    Raises NotFoundError without a candidate, GateRefusedError where it is refused and no champion stands.
    """
    started = time.monotonic()
    name = registered_name(promotion.model)
    candidate = registry.version(name, CHALLENGER)
    if candidate is None:
        raise NotFoundError(
            f"{promotion.model} has no candidate, but its gate examines one", remedy=f"Materialize {promotion.model}"
        )
    known = alias_log.reconciled(name, registry)
    champion = registry.version(name, CHAMPION)
    examined = examine(promotion, candidate, champion, Services(lakehouse, runner, registry, say))
    decision, moved = examined.decision, False
    if champion is None or champion.number != candidate.number:
        taken_off = alias_log.taken_off(known, candidate.number)
        decision = _unless(decision, [*objections(promotion.model, lakehouse), *taken_off])
        moved = _moved(promotion, candidate, champion, decision, registry)
        known = alias_log.tell(name, registry, candidate.number, "gate") if moved else known
    return Promoted(
        champion=candidate if moved or champion is None else champion,
        candidate=candidate,
        opponent=examined.opponent,
        decision=decision,
        snapshot=examined.snapshot,
        moved=moved,
        evaluated=examined.evaluated,
        told_anew=examined.told_anew,
        moves=known,
        seconds=time.monotonic() - started,
    )


def _unless(decision: GateDecision, objections: Sequence[str]) -> GateDecision:
    """The decision, but for what was found since in what is served: that is no part of the kept evidence."""
    if not objections:
        return decision
    return replace(decision, promoted=False, reasons=(*objections, *decision.reasons))


def _moved(
    promotion: Promotion,
    candidate: ModelVersion,
    champion: ModelVersion | None,
    decision: GateDecision,
    registry: ModelRegistry,
) -> bool:
    """Whether the candidate serves now; the alias is moved after its evidence stands, never before."""
    if decision.promoted:
        registry.move_alias(registered_name(promotion.model), CHAMPION, candidate.number)
        return True
    if champion is None:
        raise GateRefusedError(
            f"{promotion.model} version {candidate.number} did not pass its gate, and no champion stands: "
            + " ".join(decision.reasons),
            remedy="Mend the model, or decide on other floors under gate in its defs.yaml",
        )
    return False
