"""Promotion: candidate and champion scored again on one pinned snapshot, and the alias moved if the gate says so."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from ml_platform.engine import delta
from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.fitting import CHALLENGER, registered_name
from ml_platform.engine.gate import GateRules, decide
from ml_platform.engine.measuring import measured_alike
from ml_platform.engine.package import read_card
from ml_platform.engine.program import digest
from ml_platform.engine.running import run
from ml_platform.engine.sending import sent
from ml_platform.engine.skew import objections
from ml_platform.errors import GateRefusedError, NotFoundError
from ml_platform.records.job import JobSpec, Needs
from ml_platform.records.model import GateDecision, ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

_EVIDENCE = "gate"
_SCORES = "scores.parquet"


@dataclass(frozen=True)
class Promotion:
    """What is to be promoted, and by which rules. model: asset key. split: the rows that both are scored on."""

    model: str
    label: str
    split: str
    rules: GateRules
    needs: Needs


@dataclass(frozen=True)
class Promoted:
    """What became of a promotion.

    champion: the version that serves afterwards; candidate: the one that was examined.
    evaluated: whether anything was scored; False where the candidate is the champion, or was examined before.
    """

    champion: ModelVersion
    candidate: ModelVersion
    decision: GateDecision
    snapshot: TableVersion
    evaluated: bool
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
    the offline path gives, nothing new is promoted. Raises NotFoundError without a candidate, GateRefusedError where it
    is refused and no champion stands.
    """
    started = time.monotonic()
    name = registered_name(promotion.model)
    candidate = registry.version(name, CHALLENGER)
    if candidate is None:
        raise NotFoundError(
            f"{promotion.model} has no candidate, but its gate examines one", remedy=f"Materialize {promotion.model}"
        )
    champion = registry.version(name, CHAMPION)
    # A model is never compared with itself: that would pass any rule on improvement that allows a tie.
    opponent = champion if champion and champion.number != candidate.number else None
    pin = TableVersion(**json.loads(candidate.tags["training_set"]))
    question = _question(promotion, candidate, opponent, pin)
    stored = _stored(promotion, candidate, question, stands=champion is not None and opponent is None)
    decision = stored or _examine(promotion, candidate, opponent, pin, lakehouse, runner, registry, say)
    if stored is None:
        evidence = {"question": question, "decision": asdict(decision)}
        registry.record(name, candidate.number, {_EVIDENCE: json.dumps(evidence)})
    if champion is None or opponent is not None:
        decision = _unless(decision, objections(promotion.model, lakehouse))
    serving = _moved(promotion, candidate, champion, decision, registry)
    return Promoted(serving, candidate, decision, pin, stored is None, time.monotonic() - started)


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
) -> ModelVersion:
    """The version that serves now; the alias is moved after its evidence stands, never before."""
    if champion is not None and champion.number == candidate.number:
        return champion
    if decision.promoted:
        registry.move_alias(registered_name(promotion.model), CHAMPION, candidate.number)
        return candidate
    if champion is None:
        raise GateRefusedError(
            f"{promotion.model} version {candidate.number} did not pass its gate, and no champion stands: "
            + " ".join(decision.reasons),
            remedy="Mend the model, or decide on other floors under gate in its defs.yaml",
        )
    return champion


def _question(promotion: Promotion, candidate: ModelVersion, opponent: ModelVersion | None, pin: TableVersion) -> str:
    """A digest of everything that a decision depends on, the programs that score and decide included."""
    versions = [candidate.digest, opponent and opponent.digest]
    parts = [
        digest("jobs.score", "engine.gate", "engine.measuring"),
        promotion.split,
        asdict(promotion.rules),
        versions,
        asdict(pin),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _stored(promotion: Promotion, candidate: ModelVersion, question: str, *, stands: bool) -> GateDecision | None:
    """What is known already: the answer to this very question, or today's rules on the numbers that it became champion
    by, if it stands; None where it was never examined."""
    evidence: Mapping[str, Any] = json.loads(candidate.tags.get(_EVIDENCE, "{}"))
    if not evidence or not (stands or evidence["question"] == question):
        return None
    kept = evidence["decision"]
    if stands:
        return decide(promotion.rules, kept["candidate"], kept["champion"] or None)
    return GateDecision(kept["promoted"], tuple(kept["reasons"]), kept["candidate"], kept["champion"])


def _examine(
    promotion: Promotion,
    candidate: ModelVersion,
    opponent: ModelVersion | None,
    pin: TableVersion,
    lakehouse: Lakehouse,
    runner: JobRunner,
    registry: ModelRegistry,
    say: Callable[[str], None],
) -> GateDecision:
    versions = [candidate, *([opponent] if opponent else [])]
    name = registered_name(promotion.model)
    with TemporaryDirectory() as folder:
        packages = {str(v.number): str(registry.fetch(name, v.number, Path(folder) / str(v.number))) for v in versions}
        lacking = _lacking(packages, lakehouse, pin)
        if lacking:
            return GateDecision(promoted=False, reasons=(lacking,), candidate={})
        table, sent_along = sent(lakehouse.table(pin.key), pin.version, runner, Path(folder))
        spec = JobSpec(
            name=f"gate-{name}-{_question(promotion, candidate, opponent, pin)}",
            program="score",
            arguments={
                "rows": {**table, "where": [["split", "=", promotion.split]]},
                "models": {number: number for number in packages},
                "keep": [promotion.label],
            },
            folders={**packages, **sent_along},
            needs=promotion.needs,
        )
        scores = pq.read_table(run(runner, spec, say, Path(folder) / "scores") / _SCORES)
        cards = {number: read_card(Path(package)) for number, package in packages.items()}
    measured = measured_alike(cards, scores, promotion.label)
    theirs = measured[str(opponent.number)] if opponent else None
    return decide(promotion.rules, measured[str(candidate.number)], theirs)


def _lacking(packages: Mapping[str, str], lakehouse: Lakehouse, pin: TableVersion) -> str:
    """Why a version cannot be scored on the candidate's rows, in a sentence; empty where all can."""
    snapshot = delta.snapshot(lakehouse.table(pin.key), pin.version)
    columns = snapshot.schema.names if snapshot else []
    cards = {number: read_card(Path(package)) for number, package in packages.items()}
    tasks = {number: card.task for number, card in cards.items()}
    if len({*tasks.values()}) > 1:
        told = " and ".join(f"version {number} a {task} one" for number, task in tasks.items())
        return f"Broken: they answer other questions, {told}. Remove the alias champion to start again from the floors."
    for number, card in cards.items():
        absent = [feature.name for feature in card.features if feature.name not in columns]
        if absent:
            return (
                f"Broken: version {number} takes {', '.join(absent)}, which rows of {pin.key} version {pin.version} "
                "do not have, so there is no common ground to compare on. Keep the feature until the next champion, "
                "or remove the alias champion to start again from the floors."
            )
    return ""
