"""The examination: what a gate makes of a candidate, and the evidence of it, which stands with the version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ml_platform.engine import intent
from ml_platform.engine.gate import GateRules, decide
from ml_platform.engine.scored_again import Question, Services
from ml_platform.engine.taints import TAG as TAINTED
from ml_platform.records.gate import GateDecision, Interval, Measured, SliceFinding, SliceFindings
from ml_platform.records.job import Needs
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that holds what its gate found.
EVIDENCE = "gate"
# The tag of a version that was not fitted here: the table version that it is examined on.
EXAMINED_ON = "examined_on"


@dataclass(frozen=True)
class Promotion:
    """What is to be promoted, and by which rules.

    model: asset key. split: the rows that both are scored on. withheld: why nothing is to be moved, whatever is found,
    in a sentence; empty where it may be.
    """

    model: str
    label: str
    split: str
    rules: GateRules
    needs: Needs
    withheld: str = ""


@dataclass(frozen=True)
class Examined:
    """What came of an examination.

    snapshot: what both were scored on. opponent: the version that the candidate is compared with.
    evaluated: whether anything was scored; False where what was measured before is all that is asked.
    told_anew: whether the evidence is other than before.
    """

    decision: GateDecision
    snapshot: TableVersion
    opponent: int | None
    evaluated: bool
    told_anew: bool


def examine(
    promotion: Promotion,
    candidate: ModelVersion,
    champion: ModelVersion | None,
    services: Services,
    objections: Callable[[], Sequence[str]] | None = None,
) -> Examined:
    """The decision, its evidence standing with the candidate.

    objections: what speaks against it besides, a sentence each, asked for once everything is measured; any refuses.

    A model is never compared with itself, which would pass any rule that allows a tie: the champion that stands is held
    to today's rules by what was measured when it became it, and is scored again only where they ask for more. One that
    is tainted is replaced by what is not, and is not shown to be worse.
    """
    kept: Mapping[str, Any] = json.loads(candidate.tags.get(EVIDENCE, "{}"))
    stands = champion is not None and champion.number == candidate.number
    opponent = _before(kept, candidate.name, services.registry) if stands else champion
    question = _question(promotion, candidate, opponent)
    known = kept.get("asked") == question.told if stands else kept.get("question") == question.digest
    if not known:
        against = f" beside version {opponent.number}" if opponent else ""
        intent.about_to("change" if champion else "create", f"version {candidate.number} is to be examined{against}")
    found = _found(kept) if known else question.answer(services)
    decision = (
        GateDecision(False, (found,))
        if isinstance(found, str)
        else decide(promotion.rules, found, tainted=_tainted(opponent) and not _tainted(candidate))
    )
    decision = _unless(decision, objections() if objections else ())
    evidence = {
        "question": kept["question"] if known else question.digest,
        "asked": question.told,
        "snapshot": asdict(question.snapshot),
        "candidate": _named(candidate),
        "champion": opponent and _named(opponent),
        "lacking": found if isinstance(found, str) else "",
        "decision": {**asdict(decision.measured), "promoted": decision.promoted, "reasons": decision.reasons},
    }
    text = json.dumps(evidence)
    told_anew = text != candidate.tags.get(EVIDENCE)
    if told_anew:
        services.registry.record(candidate.name, candidate.number, {EVIDENCE: text})
    return Examined(decision, question.snapshot, opponent.number if opponent else None, not known, told_anew)


def refused(examined: Examined, candidate: ModelVersion, why: str, registry: ModelRegistry) -> Examined:
    """The examination as a refusal for what came after it, and its evidence too, for nothing was done by it."""
    decision = _unless(examined.decision, [why])
    found = registry.version(candidate.name, str(candidate.number)) or candidate
    evidence = json.loads(found.tags[EVIDENCE])
    evidence["decision"] |= {"promoted": False, "reasons": decision.reasons}
    registry.record(candidate.name, candidate.number, {EVIDENCE: json.dumps(evidence)})
    return replace(examined, decision=decision, told_anew=True)


def _unless(decision: GateDecision, objections: Sequence[str]) -> GateDecision:
    if not objections:
        return decision
    return replace(decision, promoted=False, reasons=(*objections, *decision.reasons))


def _question(promotion: Promotion, candidate: ModelVersion, opponent: ModelVersion | None) -> Question:
    return Question(
        candidate=candidate,
        opponent=opponent,
        snapshot=TableVersion(**json.loads(candidate.tags.get(EXAMINED_ON) or candidate.tags["training_set"])),
        label=promotion.label,
        split=promotion.split,
        asked=promotion.rules.asked,
        needs=promotion.needs,
    )


def _before(kept: Mapping[str, Any], name: str, registry: ModelRegistry) -> ModelVersion | None:
    """The version that a standing champion was compared with when it became it."""
    opponent = kept.get("champion")
    return registry.version(name, str(opponent["number"])) if opponent else None


def _tainted(version: ModelVersion | None) -> bool:
    return version is not None and TAINTED in version.tags


def _named(version: ModelVersion) -> dict[str, Any]:
    return {"number": version.number, "digest": version.digest}


def _found(kept: Mapping[str, Any]) -> Measured | str:
    """What evidence says was measured, or why nothing could be."""
    if kept["lacking"]:
        return str(kept["lacking"])
    told = kept["decision"]
    improvement, slices = told["improvement"], told["slices"]
    if slices is not None:
        slices = SliceFindings(**{**slices, "slices": tuple(SliceFinding(**it) for it in slices["slices"])})
    return Measured(told["candidate"], told["champion"], improvement and Interval(**improvement), slices)
