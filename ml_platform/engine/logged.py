"""The prediction log as a table: what was served, collected exactly once, in the order in which it was written."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.records.prediction import ServedPrediction
from ml_platform.records.table import Commit, DataFile, Location, TableSnapshot
from ml_platform.roles.prediction_log import PredictionLog

_APP_ID = "collected"
_LIMIT = 50_000
_SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64()),
        pa.field("request_id", pa.string()),
        pa.field("served_at", pa.timestamp("us", tz="UTC")),
        pa.field("event_time", pa.timestamp("us", tz="UTC")),
        pa.field("endpoint", pa.string()),
        pa.field("revision", pa.int64()),
        pa.field("model_version", pa.int64()),
        pa.field("inputs", pa.string()),
        pa.field("features", pa.string()),
        pa.field("views", pa.string()),
        pa.field("output", pa.float64()),
        pa.field("latency_ms", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("shadow", pa.bool_()),
        pa.field("named", pa.bool_()),
    ]
)
_AS_JSON = ("inputs", "features", "views")
_OUTPUT = "output"


@dataclass(frozen=True)
class Collected:
    """What became of a collection."""

    commit: Commit
    snapshot: TableSnapshot
    seconds: float


def collect(endpoint: str, location: Location, log: PredictionLog, *, classes: bool = False) -> Collected:
    """The table holding every record that the log has of the endpoint; the cursor is committed with the rows.

    classes: whether an output is a probability for each class, which the table has as JSON.
    """
    started = time.monotonic()
    position = _SCHEMA.get_field_index(_OUTPUT)
    schema = _SCHEMA.set(position, pa.field(_OUTPUT, pa.string())) if classes else _SCHEMA
    added = 0
    while True:
        before = delta.snapshot(location)
        cursor = cursor_of(location)
        records, after = log.since(endpoint, cursor, _LIMIT)
        # The log passes over what expired before it was collected, so that places are counted from its end.
        staged = stage(_rows(records, after - len(records), schema).to_batches(), schema, location)
        done = delta.commit(staged, read=before, replaced=(), transactions={_APP_ID: after}, evidence={})
        added += done.rows_added
        if len(records) < _LIMIT:
            break
    commit = Commit(done.version, added, 0, (), unchanged=not added)
    return Collected(commit, delta.existing(location), time.monotonic() - started)


def cursor_of(location: Location) -> int:
    """Up to which record of the log the table has them."""
    return delta.transaction(location, _APP_ID) or 0


def expire(endpoint: str, location: Location, log: PredictionLog, before: datetime) -> int:
    """How many rows are gone from the table: all that were served before then. The log has none of them either, as far
    as it lets go of records by themselves; what it holds and the table has not collected yet stays.

    Raises ConflictError where somebody commits meanwhile.
    """
    snapshot = delta.existing(location)
    old = [_served_before(snapshot, file, before) for file in snapshot.files]
    touched = [file for file, rows in zip(snapshot.files, old, strict=True) if rows]
    if touched:
        rows = delta.read_rows(_only(snapshot, touched))
        kept = rows.filter(pc.greater_equal(rows["served_at"], _moment(before)))
        staged = stage(kept.to_batches(), snapshot.schema, location)
        evidence = {"expired": sum(old), "before": before.isoformat()}
        delta.commit(staged, read=snapshot, replaced=touched, transactions={}, evidence=evidence)
    log.expire(endpoint, delta.transaction(location, _APP_ID) or 0, before)
    return sum(old)


def _served_before(of: TableSnapshot, file: DataFile, moment: datetime) -> int:
    """How many of the file's rows."""
    moments = delta.read_rows(_only(of, [file]), ["served_at"])["served_at"]
    return int(pc.sum(pc.less(moments, _moment(moment))).as_py() or 0)


def _only(of: TableSnapshot, files: Sequence[DataFile]) -> TableSnapshot:
    return replace(of, files=tuple(files))


def _moment(at: datetime) -> pa.Scalar:
    return pa.scalar(at, pa.timestamp("us", tz="UTC"))


def _rows(records: Sequence[ServedPrediction], cursor: int, schema: pa.Schema) -> pa.Table:
    """The records as rows; `sequence` is a record's place in the log, from 1, so that no two rows are equal."""
    as_json = (*_AS_JSON, _OUTPUT) if pa.types.is_string(schema.field(_OUTPUT).type) else _AS_JSON
    rows = []
    for sequence, record in enumerate(records, cursor + 1):
        row = {name: getattr(record, name) for name in schema.names[1:]}
        if record.error:
            row[_OUTPUT] = None
        rows.append({**row, "sequence": sequence, **{name: _json(row[name]) for name in as_json}})
    return pa.Table.from_pylist(rows, schema=schema)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str)
