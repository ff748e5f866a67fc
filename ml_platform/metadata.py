"""Metadata: what a materialization shows in the Dagster UI."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.records.table import Commit, StagedFiles, TableSnapshot, TableVersion

if TYPE_CHECKING:
    from ml_platform.engine.alias_log import Move
    from ml_platform.engine.fitting import Fitted
    from ml_platform.engine.ingest import Ingested
    from ml_platform.engine.kept_card import Card
    from ml_platform.engine.promotion import Promoted
    from ml_platform.engine.quarantine import Told
    from ml_platform.engine.rejected import Shown
    from ml_platform.engine.rolling import RolledOut
    from ml_platform.engine.rollout import Finding
    from ml_platform.engine.tables import Made
    from ml_platform.records.endpoint import Revision
    from ml_platform.records.feature import PublishedView
    from ml_platform.records.gate import GateDecision

Lineage = Mapping[str, Sequence[tuple[str, str]]]

OUTCOME = "outcome"
SECONDS = "seconds"
UNCHANGED = "unchanged"
ASK = "ask"
EXAMPLE = "example_request"


def of_table(snapshot: TableSnapshot, commit: Commit, seconds: float, lineage: Lineage | None = None) -> dict[str, Any]:
    """What a table's materialization says: rows, columns and their lineage, version, size, outcome."""
    return {
        OUTCOME: UNCHANGED
        if commit.unchanged
        else f"{commit.rows_added:,} rows added, {commit.rows_removed:,} removed",
        SECONDS: round(seconds, 3),
        "rows_added": commit.rows_added,
        "rows_removed": commit.rows_removed,
        **of_snapshot(snapshot),
        "table_version": commit.version,
        "dagster/column_lineage": column_lineage(snapshot, lineage or {}),
    }


def of_snapshot(snapshot: TableSnapshot) -> dict[str, Any]:
    """What stands in a table: its version, rows, columns, size."""
    return {
        "table_version": snapshot.version,
        "size_bytes": sum(file.size_bytes for file in snapshot.files),
        "dagster/row_count": snapshot.rows,
        "dagster/table_name": snapshot.location.key.replace("/", "."),
        "dagster/uri": snapshot.location.uri,
        "dagster/column_schema": columns(snapshot),
    }


def of_ingest(done: Ingested) -> dict[str, Any]:
    """What a source's materialization says besides: its rows in, out and quarantined, and what has changed."""
    came = done.read - done.passed
    return {
        "rows_in": came,
        "rows_out": came - done.quarantined,
        "rows_quarantined": done.quarantined,
        "rows_passed": done.passed,
        "column_changes": as_json(done.changes),
        "files_changed": as_json(done.changed),
    }


def of_rejected(told: Shown) -> dict[str, Any]:
    """What the materialization of a source's quarantine says: what stands, rows by rule, and a few of them."""
    by_rule = [{"rule": rule, "rows": rows} for rule, rows in sorted(told.by_rule.items())]
    shown = ("rule", "reason", "source_file", "source_offset", "row")
    sample = [{name: row[name] for name in shown} for row in told.sample]
    return {
        "table_version": told.snapshot.version,
        "size_bytes": sum(file.size_bytes for file in told.snapshot.files),
        "dagster/row_count": told.rows,
        "dagster/table_name": told.snapshot.location.key.replace("/", "."),
        "dagster/uri": told.snapshot.location.uri,
        "dagster/column_schema": columns(told.snapshot),
        "by_rule": _table(("rule", "rows"), by_rule),
        "sample": _table(shown, sample),
    }


def columns(of: StagedFiles) -> dg.TableSchema:
    """The columns and their types, as the UI draws them."""
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in of.schema])


def column_lineage(of: StagedFiles, lineage: Lineage) -> dg.TableColumnLineage:
    """What each of the columns that are there is made from, as the UI draws it.

    lineage: column, in any spelling → asset key and column of everything that it is made from.
    """
    origins = {name.lower(): found for name, found in lineage.items()}
    return dg.TableColumnLineage(
        {
            field.name: [
                dg.TableColumnDep(dg.AssetKey(key.split("/")), column) for key, column in origins[field.name.lower()]
            ]
            for field in of.schema
            if field.name.lower() in origins
        }
    )


def versions(read: Sequence[TableVersion]) -> dg.MetadataValue:
    """The exact versions that were read, as a table."""
    rows = [{"table": it.key, "version": it.version, "fingerprint": it.fingerprint} for it in read]
    return _table(("table", "version", "fingerprint"), rows)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """The rows as a table, which may have none."""
    records = [dg.TableRecord(dict(row)) for row in rows]
    # Dagster takes the columns from the rows, and refuses a table without either.
    schema = None if records else dg.TableSchema([dg.TableColumn(name) for name in columns])
    return dg.MetadataValue.table(records, schema)


_table = table


def record_partitions(
    context: dg.AssetExecutionContext, snapshot: TableSnapshot, column: str, remade: Sequence[str]
) -> None:
    """Each selected partition's own row count, fingerprint and outcome stand on its materialization."""
    from ml_platform.engine import delta

    counts: Counter[str] = Counter()
    for file in snapshot.files:
        counts[file.partition[column]] += file.rows
    for partition in context.partition_keys:
        context.add_asset_metadata(
            {
                "dagster/partition_row_count": counts[partition],
                "partition_data_version": delta.fingerprint(delta.restrict(snapshot, column, [partition])),
                "partition_outcome": "made" if partition in remade else UNCHANGED,
            },
            partition_key=partition,
        )


def result(
    context: dg.AssetExecutionContext,
    made: Made,
    *,
    column: str | None,
    lineage: Lineage | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[Any]:
    """The result of an asset whose table was made; its data version is the content's fingerprint."""
    from ml_platform.engine import delta

    if column:
        record_partitions(context, made.snapshot, column, made.remade)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(delta.fingerprint(made.snapshot)),
        metadata={
            **of_table(made.snapshot, made.commit, made.seconds, lineage),
            "read": versions(made.read),
            "rows_read": made.reading.rows,
            "rows_in_inputs": made.reading.offered,
            "reading": made.reading.how,
            "retries": made.retries,
            **(extra or {}),
        },
    )


def of_card(card: Card) -> dict[str, Any]:
    """What a training set's materialization says besides: its splits, what of its features is missing, its card."""
    return {
        "splits": _table((), card.said["splits"]),
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
        OUTCOME: f"fitted as version {fitted.version.number}" if fitted.refitted else UNCHANGED,
        SECONDS: round(fitted.seconds, 3),
        "model_version": fitted.version.number,
        "model_digest": fitted.version.digest,
        "read": versions([fitted.training_set]),
        "metrics": dg.MetadataValue.table(rows),
        "slices": _table(("column", "value", "rows"), fitted.slices),
        "model_card": dg.MetadataValue.md(fitted.card),
        **{f"test_{name}": value for name, value in tests.items()},
        **{name: dg.MetadataValue.md(picture(png, name)) for name, png in fitted.plots.items()},
    }


def of_taken(taken: Fitted, environment: str) -> dict[str, Any]:
    """What a candidate's materialization says that is another environment's champion: as of a model, and its origin."""
    told = of_model(taken)
    examined_on = told.pop("read")
    became = f"taken from {environment} as version {taken.version.number}" if taken.refitted else UNCHANGED
    return {
        **told,
        OUTCOME: became,
        "evaluated_on": examined_on,
        "taken": as_json(json.loads(taken.version.tags["taken"])),
    }


def of_promotion(done: Promoted) -> dict[str, Any]:
    """What a champion's materialization says: who serves, who was examined against whom, on what, and who moved it."""
    refused = f"version {done.candidate.number} refused, version {done.champion.number} stays"
    stays = refused if done.told_anew and done.champion.number != done.candidate.number else UNCHANGED
    return {
        OUTCOME: f"version {done.champion.number} promoted" if done.moved else stays,
        SECONDS: round(done.seconds, 3),
        "champion": done.champion.number,
        "candidate": done.candidate.number,
        "model_digest": done.champion.digest,
        "evaluated_on": versions([done.snapshot]),
        "moves": moves(done.moves),
    }


def moves(known: Sequence[Move]) -> dg.MetadataValue:
    """Who moved the alias, the latest first, as a table."""
    rows = [asdict(move) for move in reversed(known)]
    return _table(("sequence", "number", "was", "by", "at", "why"), rows)


def of_quarantine(told: Told) -> dict[str, Any]:
    """What a quarantine's materialization says: rows by rule, and a few of them."""
    by_rule = [{"rule": rule, "rows": rows} for rule, rows in told.by_rule.items()]
    shown = ("rule", "reason", "source_file", "source_offset", "row")
    return {"by_rule": _table(("rule", "rows"), by_rule), "sample": _table(shown, told.sample)}


def of_examination(done: Promoted) -> dict[str, Any]:
    """What the gate's check says: the decision, who was compared on what, and who moved the alias."""
    return {
        **of_decision(done.decision),
        "candidate": done.candidate.number,
        "compared_with": "no champion" if done.opponent is None else str(done.opponent),
        "evaluated_on": versions([done.snapshot]),
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
        "metrics": _table(("metric", "candidate", "champion"), _known(rows)),
        "improvement": _table(("estimate", "low", "high", "confidence"), _known(improvement)),
        "slices": _table(("column", "value", "rows", "estimate", "bound"), _known(slices)),
    }


def _known(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, where a number that is not known is none: JSON has no other way to say so."""
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


def of_revision(
    before: Revision | None,
    revision: Revision,
    views: Mapping[str, PublishedView | None],
    example: Mapping[str, Any],
    seconds: float,
    *,
    open_to_all: bool,
) -> dict[str, Any]:
    """What an endpoint's materialization says: where it serves, what it looks up, and a command that asks it.

    open_to_all: whether whoever reaches its address may ask; else the command goes through its host.
    """
    same = before is not None and before.number == revision.number
    url = f"{revision.url}/v2/models/{revision.endpoint}/infer" if open_to_all else revision.url
    command = f"curl -s {url} -d" if open_to_all else f"ml-platform invoke {revision.endpoint}"
    return {
        OUTCOME: UNCHANGED if same else f"revision {revision.number} serves",
        SECONDS: round(seconds, 3),
        "revision": revision.number,
        "traffic": as_json(revision.split.shares),
        "looks_up": _table(
            ("view", "version", "rows"),
            [
                {"view": name, "version": found.version, "rows": found.rows}
                for name, found in views.items()
                if found is not None
            ],
        ),
        "url": dg.MetadataValue.url(url),
        EXAMPLE: as_json(example),
        ASK: f"{command} {shlex.quote(json.dumps(example))}",
    }


def of_rollout(done: RolledOut, latest: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What an endpoint's materialization says of its rollout. latest: entries of its log, the newest first."""
    state, revision = done.state, done.revision
    number, version = revision.number if revision else 0, state.target.version
    on_the_way = {
        "loaded": f"version {version} is loaded",
        "shadow": f"version {version} answers copies",
        "step": f"version {version} has {state.share * 100:g} %",
        "rolled back": f"version {version} went back",
    }
    shown = ("at", "version", "stage", "share", "serves_since", "reasons")
    rows = [{name: str(row[name]) for name in shown} for row in latest]
    told = {"stage": state.stage, "rollout": _table(shown, rows)}
    if state.stage == "served" or (done.before and done.before.number == number and not done.moved):
        return told
    return {OUTCOME: f"revision {number}: {on_the_way[state.stage]}", **told}


def of_findings(found: Sequence[Finding]) -> dict[str, Any]:
    """What the check of a rollout says: every guard that was looked at."""
    verdicts = {True: "kept", False: "broken", None: "waits"}
    rows = [{"guard": each.guard, "verdict": verdicts[each.passed], "said": each.said} for each in found]
    return {"guards": _table(("guard", "verdict", "said"), rows)}


def as_json(value: object) -> dg.MetadataValue:
    """Anything that JSON can say."""
    return dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))


def picture(png: bytes, caption: str) -> str:
    """A picture in Markdown, carried inside the text."""
    import base64

    return f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})"
