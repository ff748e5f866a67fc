"""Delete markers: the keys that were deleted and when, as a table beside their own, `<key>__deleted`.

It is committed before the rows: a marker that stands there and was not applied yet is applied when its batch is made
again, and a row that arrives after its deletion and is older finds it.
"""

from __future__ import annotations

from ml_platform.engine import delta
from ml_platform.engine.merge_plan import DELETED, DELETED_AT, markers
from ml_platform.engine.plan import INCOMING, Shape
from ml_platform.engine.staging import present, undone_on_failure
from ml_platform.errors import AuditError
from ml_platform.records.table import Location, StagedFiles, View
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

SUFFIX = "__deleted"


def recorded(
    key: str, incoming: StagedFiles | View, shape: Shape, lakehouse: Lakehouse, compute: Compute
) -> StagedFiles:
    """The markers of a table, those among the incoming rows included, all of them committed. Idempotent.

    Raises AuditError for a marker without an event time, of which nobody knows what it is newer than, and ConflictError
    where somebody else records markers meanwhile.
    """
    location = lakehouse.table(f"{key}{SUFFIX}")
    before, stood = delta.snapshot(location), present(location)
    stands = before or _nothing(location, incoming, shape)
    added = compute.stage(markers(shape), {INCOMING: incoming, DELETED: stands}, location, ())
    if not added.files:
        return stands
    with undone_on_failure(added, stood):
        _require_dated(key, added, shape, compute)
        delta.commit(added, read=before, replaced=(), transactions={}, evidence={})
    return delta.existing(location)


def _require_dated(key: str, markers: StagedFiles, shape: Shape, compute: Compute) -> None:
    query = f"SELECT count(*) AS rows FROM {DELETED} WHERE {DELETED_AT} IS NULL"
    undated = compute.fetch(query, {DELETED: markers})["rows"].to_pylist()[0]
    if undated:
        raise AuditError(
            f"{key} is offered {undated:,} delete markers whose {shape.newest} is NULL, but a marker says from when on "
            "its key is gone",
            remedy="Give them a time or leave them out in the query",
        )


def _nothing(location: Location, incoming: StagedFiles | View, shape: Shape) -> StagedFiles:
    import pyarrow as pa

    if shape.newest is None:
        raise AssertionError("a delete marker has an event time")
    columns = dict.fromkeys([*([shape.partition] if shape.partition else []), *shape.key])
    fields = [incoming.schema.field(column) for column in columns]
    schema = pa.schema([*fields, incoming.schema.field(shape.newest).with_name(DELETED_AT)])
    return StagedFiles(location, schema, (), ())
