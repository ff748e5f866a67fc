"""Audits: the rules that staged rows must keep before they are committed."""

from __future__ import annotations

from collections.abc import Collection

from ml_platform.engine.merge_plan import marked, same_key
from ml_platform.engine.plan import INCOMING, STANDING, Shape, literal, quoted
from ml_platform.errors import AuditError
from ml_platform.records.table import StagedFiles, View
from ml_platform.roles.compute import Compute

_STAGED = "staged.rows"
_EXAMPLES = 3


def audit(staged: StagedFiles, shape: Shape, compute: Compute, every: Collection[str] = ()) -> None:
    """Returns when every staged row has a partition, and a key that is complete and its own; else raises AuditError.

    every: the partitions that there are; any value is one where none is told.
    Raises it also for a key, partition or other declared column that the rows do not have.
    """
    audit_columns(staged, shape)
    _audit_partitions(staged, shape, every)
    if shape.key and staged.rows:
        _audit_key(staged, shape, compute)


def _audit_partitions(staged: StagedFiles, shape: Shape, every: Collection[str]) -> None:
    if shape.partition is None:
        return
    found = {value for file in staged.files for value in file.partition.values()}
    if "" in found:
        raise AuditError(
            f"{staged.location.key} has rows whose {shape.partition} is NULL or empty, but every row belongs to a "
            "partition",
            remedy="Give them a partition or leave them out in the query",
        )
    if strays := sorted(found - {*every}) if every else []:
        shown = ", ".join(map(repr, strays[:_EXAMPLES]))
        raise AuditError(
            f"{staged.location.key} has rows whose {shape.partition} is {shown}, but there is no such partition",
            allowed=f"Partitions go from {min(every)} to {max(every)}",
            remedy="Mend the query, leave such rows out in it, or widen partitions in domain.yaml",
        )


def audit_columns(staged: StagedFiles | View, shape: Shape) -> None:
    """Returns when the rows have every column that their declaration builds on; else raises AuditError."""
    wanted = [*shape.key, *([shape.partition] if shape.partition else []), *shape.columns]
    missing = [column for column in wanted if column not in staged.schema.names]
    if missing:
        raise AuditError(
            f"{staged.location.key} has no column {', '.join(missing)}, but its declaration builds on it",
            allowed=f"It has {', '.join(staged.schema.names)}",
            remedy="Add the column to the query, or mend key and newest in its defs.yaml",
        )
    kind = staged.schema.field(shape.partition).type if shape.partition else None
    if kind is not None and str(kind) != "string":
        raise AuditError(
            f"{staged.location.key} has partitions of type {kind}, but a partition is a text, for instance 2013-01",
            remedy=f"Make {shape.partition} a text in the query",
        )


def audit_ties(incoming: StagedFiles | View, standing: StagedFiles, shape: Shape, compute: Compute) -> None:
    """Returns when no incoming row has the key and the event time of a different standing row; else AuditError.

    incoming: rows that do not stand in the table to the last value; delete markers among them count for nothing.
    """
    at = f" AND i.{quoted(shape.newest)} IS NOT DISTINCT FROM s.{quoted(shape.newest)}" if shape.newest else ""
    bad = compute.fetch(
        f"SELECT {_shown(shape, 'i')} AS shown, count(*) OVER () AS bad FROM (SELECT * FROM {INCOMING} "
        f"WHERE NOT {marked(shape)}) AS i JOIN {STANDING} AS s ON {same_key(shape, 'i', 's')}{at} "
        f"ORDER BY shown LIMIT {_EXAMPLES}",
        {INCOMING: incoming, STANDING: standing},
    ).to_pylist()
    if not bad:
        return
    raise AuditError(
        f"{incoming.location.key} is offered {bad[0]['bad']} keys ({', '.join(shape.key)}) again, but two different "
        f"rows cannot share a key and its moment: {'; '.join(row['shown'] for row in bad)}",
        allowed="A row that is newer takes the place of an older one",
        remedy="Decide in the query which row is right; the table still stands at its last version",
    )


def _audit_key(staged: StagedFiles, shape: Shape, compute: Compute) -> None:
    # A key is one of its partition: what other partitions hold is not read when one is made.
    grouping = dict.fromkeys([*([shape.partition] if shape.partition else []), *shape.key])
    columns = ", ".join(quoted(column) for column in grouping)
    partial = " OR ".join(f"{quoted(column)} IS NULL" for column in shape.key)
    bad = compute.fetch(
        f"SELECT {_shown(shape, 'staged')} AS shown, count(*) AS rows, bool_or({partial}) AS partial, "
        f"count(*) OVER () AS bad FROM {_STAGED} AS staged GROUP BY {columns} "
        f"HAVING count(*) > 1 OR bool_or({partial}) ORDER BY partial DESC, shown LIMIT {_EXAMPLES}",
        {_STAGED: staged},
    ).to_pylist()
    if not bad:
        return
    examples = "; ".join(f"{row['shown']} ({row['rows']} rows)" for row in bad)
    why = "a key is never NULL" if bad[0]["partial"] else "two different rows cannot share a key"
    raise AuditError(
        f"{staged.location.key} has {bad[0]['bad']} keys that break its key ({', '.join(shape.key)}), "
        f"but {why}: {examples}",
        allowed="Equal rows collapse by themselves",
        remedy="Decide in the query which row is right; the table still stands at its last version",
    )


def _shown(shape: Shape, row: str) -> str:
    """The expression for a row's key as a person reads it."""
    return " || ', ' || ".join(
        f"{literal(column + '=')} || coalesce(CAST({row}.{quoted(column)} AS VARCHAR), 'NULL')" for column in shape.key
    )
