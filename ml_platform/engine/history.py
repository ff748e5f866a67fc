"""The history (slowly changing dimension of type 2): every version that a key ever had, with the time in which it held.

What the query selects beside key and event time is what is tracked. Versions that follow each other and are equal are
one; a row that arrives late splits the interval that it falls into; a delete marker ends it.
"""

from __future__ import annotations

from dataclasses import replace

from ml_platform.engine import history_plan, merge_plan
from ml_platform.engine.aside import Aside
from ml_platform.engine.audit import audit, audit_ties
from ml_platform.engine.plan import INCOMING, STANDING, Shape
from ml_platform.engine.touched import Merge, candidates, collisions, files_of, hit_clusters, holding, moved, part
from ml_platform.errors import AuditError
from ml_platform.records.table import DataFile, StagedFiles
from ml_platform.roles.compute import Compute


def observations(incoming: StagedFiles, shape: Shape, compute: Compute, aside: Aside) -> StagedFiles:
    """The incoming rows that are no delete markers, one for each key and moment.

    Raises AuditError for a key or moment that is NULL, and for two different rows of one key and moment.
    """
    if shape.newest is None:
        raise AssertionError("a history has an event time")
    audit(incoming, Shape(columns=(*shape.key, shape.newest)), compute)
    rows = aside.query(history_plan.observations(shape, incoming.schema.names), {INCOMING: incoming})
    audit(rows, Shape(key=(*shape.key, shape.newest)), compute)
    return rows


def lengthened(merge: Merge, incoming: StagedFiles, rows: StagedFiles) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """The rewritten files, staged, and the standing ones that they replace.

    incoming: rows and delete markers. rows: the observations among them.
    Raises AuditError, where `exact`, for one that differs from what was observed of its moment before.
    """
    shape = merge.shape
    tracked = _tracked(incoming, shape)
    keys = replace(shape, newest=None)
    found = hit_clusters(near := candidates(merge, incoming), collisions(replace(merge, shape=keys), incoming, near))
    touched = moved(merge, _like(merge, incoming, tracked)) or holding(merge, incoming, found)
    standing = part(merge.standing, files_of(touched), _like(merge, incoming, tracked))
    if merge.exact and rows.files and standing.files:
        _audit_moments(merge, rows, standing, tracked)
    relations = {INCOMING: rows, STANDING: standing, merge_plan.DELETED: merge.deleted or _undeleted(incoming, shape)}
    staged = merge.compute.stage(history_plan.folded(shape, tracked), relations, merge.standing.location, ())
    return staged, files_of(touched)


def _tracked(incoming: StagedFiles, shape: Shape) -> list[str]:
    made = [column for column in incoming.schema.names if column in history_plan.MADE]
    if made:
        raise AuditError(
            f"{incoming.location.key} selects {', '.join(made)}, but a history makes these columns by itself",
            remedy="Select them under another name",
        )
    return [column for column in incoming.schema.names if column not in (*shape.key, shape.newest)]


def _audit_moments(merge: Merge, rows: StagedFiles, standing: StagedFiles, tracked: list[str]) -> None:
    before = merge.aside.query(history_plan.observed(merge.shape, tracked), {STANDING: standing})
    names = rows.schema.names
    other = merge.aside.query(merge_plan.fresh(merge.shape, names), {INCOMING: rows, STANDING: before})
    audit_ties(other, before, merge.shape, merge.compute)


def _like(merge: Merge, incoming: StagedFiles, tracked: list[str]) -> StagedFiles:
    """No rows, with the columns of the history."""
    import pyarrow as pa

    shape = merge.shape
    at = incoming.schema.field(shape.newest or "").type
    made = dict(zip(history_plan.MADE, (at, at, pa.bool_(), pa.list_(at)), strict=True))
    kept = [incoming.schema.field(column) for column in (*shape.key, *tracked)]
    schema = pa.schema([*kept, *(pa.field(name, kind) for name, kind in made.items())])
    return StagedFiles(merge.standing.location, schema, (), ())


def _undeleted(incoming: StagedFiles, shape: Shape) -> StagedFiles:
    """No delete markers."""
    import pyarrow as pa

    keys = [incoming.schema.field(column) for column in shape.key]
    at = incoming.schema.field(shape.newest or "").with_name(merge_plan.DELETED_AT)
    return StagedFiles(incoming.location, pa.schema([*keys, at]), (), ())
