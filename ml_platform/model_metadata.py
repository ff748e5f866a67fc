"""What a training set, a model and its gate show in the Dagster UI."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform import metadata

if TYPE_CHECKING:
    from ml_platform.engine.alias_log import Move
    from ml_platform.engine.fitting import Fitted
    from ml_platform.engine.kept_card import Card
    from ml_platform.engine.promotion import Promoted
    from ml_platform.records.gate import GateDecision
    from ml_platform.records.model import ModelVersion


def of_card(card: Card) -> dict[str, Any]:
    """What a training set's materialization says besides: its splits, what of its features is missing, its card."""
    return {
        "splits": metadata.table((), card.said["splits"]),
        "repeated_events": card.said["repeated"],
        "data_card": dg.MetadataValue.md(card.text),
    }


def of_model(fitted: Fitted) -> dict[str, Any]:
    """What a candidate's materialization says: its version, what it learned from, its metrics and its plots."""
    tests: Mapping[str, float] = fitted.metrics["test"]
    rows = [
        dg.TableRecord({"model": model, "split": split, **{name: round(value, 5) for name, value in values.items()}})
        for model, splits in (("candidate", fitted.metrics), ("baseline", fitted.metrics["baseline"]))
        for split, values in splits.items()
        if split != "baseline"
    ]
    return {
        metadata.OUTCOME: f"fitted as version {fitted.version.number}" if fitted.refitted else metadata.UNCHANGED,
        metadata.SECONDS: round(fitted.seconds, 3),
        "model_version": fitted.version.number,
        "model_digest": fitted.version.digest,
        "read": metadata.versions([fitted.training_set]),
        "metrics": dg.MetadataValue.table(rows),
        "slices": metadata.table(("column", "value", "rows"), fitted.slices),
        "model_card": dg.MetadataValue.md(fitted.card),
        **{f"test_{name}": value for name, value in tests.items()},
        **{name: dg.MetadataValue.md(picture(png, name)) for name, png in fitted.plots.items()},
    }


def of_taken(taken: Fitted, environment: str) -> dict[str, Any]:
    """What a candidate's materialization says that is another environment's champion: as of a model, and its origin."""
    told = of_model(taken)
    examined_on = told.pop("read")
    became = f"taken from {environment} as version {taken.version.number}" if taken.refitted else metadata.UNCHANGED
    return {
        **told,
        metadata.OUTCOME: became,
        "evaluated_on": examined_on,
        "taken": metadata.as_json(json.loads(taken.version.tags["taken"])),
    }


def of_promotion(done: Promoted) -> dict[str, Any]:
    """What a champion's materialization says: who serves, who was examined against whom, on what, and who moved it."""
    refused = f"version {done.candidate.number} refused, version {done.champion.number} stays"
    stays = refused if done.told_anew and done.champion.number != done.candidate.number else metadata.UNCHANGED
    return {
        metadata.OUTCOME: f"version {done.champion.number} promoted" if done.moved else stays,
        metadata.SECONDS: round(done.seconds, 3),
        "champion": done.champion.number,
        "candidate": done.candidate.number,
        "model_digest": done.champion.digest,
        "evaluated_on": metadata.versions([done.snapshot]),
        "moves": moves(done.moves),
        "rollouts": rollouts(done.champion),
    }


def rollouts(champion: ModelVersion) -> dg.MetadataValue:
    """Where the champion's rollouts ended, as a table."""
    from ml_platform.engine.rolled_out import ended

    rows = [
        {"endpoint": name, "stage": one.stage, "at": one.at, "reasons": " ".join(one.reasons)}
        for name, one in ended(champion).items()
    ]
    return metadata.table(("endpoint", "stage", "at", "reasons"), rows)


def moves(known: Sequence[Move]) -> dg.MetadataValue:
    """Who moved the alias, the latest first, as a table."""
    rows = [asdict(move) for move in reversed(known)]
    return metadata.table(("sequence", "number", "was", "by", "at", "why"), rows)


def of_examination(done: Promoted) -> dict[str, Any]:
    """What the gate's check says: the decision, who was compared on what, and who moved the alias."""
    return {
        **of_decision(done.decision),
        "candidate": done.candidate.number,
        "compared_with": "no champion" if done.opponent is None else str(done.opponent),
        "evaluated_on": metadata.versions([done.snapshot]),
        "moves": moves(done.moves),
    }


def of_decision(decision: GateDecision) -> dict[str, Any]:
    """What the gate's check says: every rule in a sentence, the numbers of both sides, intervals and slices."""
    found = decision.measured
    champion = found.champion or {}
    measures = sorted({*found.candidate, *champion})
    rows = [
        {"metric": name, "candidate": found.candidate.get(name), "champion": champion.get(name)} for name in measures
    ]
    improvement = [asdict(found.improvement)] if found.improvement else []
    slices = [asdict(it) for it in found.slices.slices] if found.slices else []
    return {
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in decision.reasons)),
        "metrics": metadata.table(("metric", "candidate", "champion"), _known(rows)),
        "improvement": metadata.table(("estimate", "low", "high", "confidence"), _known(improvement)),
        "slices": metadata.table(("column", "value", "rows", "estimate", "bound"), _known(slices)),
    }


def _known(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, where a number that is not known is none: JSON has no other way to say so."""
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


def picture(png: bytes, caption: str) -> str:
    """A picture in Markdown, carried inside the text."""
    import base64

    return f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})"
