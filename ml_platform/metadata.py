"""Metadata: what a materialization shows in the Dagster UI."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.engine.scope import ITS_OWN
from ml_platform.records.table import Commit, StagedFiles, TableSnapshot, TableVersion

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Ingested
    from ml_platform.engine.quarantine import Told
    from ml_platform.engine.rejected import Shown
    from ml_platform.engine.tables import Made

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
        "by_rule": table(("rule", "rows"), by_rule),
        "sample": table(shown, sample),
    }


def columns(of: StagedFiles) -> dg.TableSchema:
    """The columns and their types, as the UI draws them."""
    return dg.TableSchema([dg.TableColumn(field.name, str(field.type)) for field in of.schema])


def column_lineage(of: StagedFiles, lineage: Lineage) -> dg.TableColumnLineage:
    """What each of the columns that are there is made from, as the UI draws it.

    lineage: column, in any spelling → asset key and column of everything that it is made from; as `Columns` has it.
    """
    origins = {name.lower(): found for name, found in lineage.items()}
    found = {name: origins.get(name.lower(), origins.get("")) for name in of.schema.names}
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey(key.split("/")), column.replace(ITS_OWN, name)) for key, column in each
            ]
            for name, each in found.items()
            if each is not None
        }
    )


def versions(read: Sequence[TableVersion]) -> dg.MetadataValue:
    """The exact versions that were read, as a table."""
    rows = [{"table": it.key, "version": it.version, "fingerprint": it.fingerprint} for it in read]
    return table(("table", "version", "fingerprint"), rows)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """The rows as a table, which may have none."""
    records = [dg.TableRecord(dict(row)) for row in rows]
    # Dagster takes the columns from the rows, and refuses a table without either.
    schema = None if records else dg.TableSchema([dg.TableColumn(name) for name in columns])
    return dg.MetadataValue.table(records, schema)


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


def of_quarantine(told: Told) -> dict[str, Any]:
    """What a quarantine's materialization says: rows by rule, and a few of them."""
    by_rule = [{"rule": rule, "rows": rows} for rule, rows in told.by_rule.items()]
    shown = ("rule", "reason", "source_file", "source_offset", "row")
    return {"by_rule": table(("rule", "rows"), by_rule), "sample": table(shown, told.sample)}


def as_json(value: object) -> dg.MetadataValue:
    """Anything that JSON can say."""
    return dg.MetadataValue.json(json.loads(json.dumps(value, default=str)))
