"""Decisions about retraining as a table: append-only, numbered, and written one at a time."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from ml_platform.engine import delta
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import stage
from ml_platform.records.retraining import Decision
from ml_platform.records.table import Commit, Location, TableSnapshot

_APP_ID = "decided"
_SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("outcome", pa.string()),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("champion", pa.int64()),
        pa.field("new_labels", pa.int64()),
    ]
)


def decided(location: Location) -> tuple[Decision, ...]:
    """Every decision, oldest first; none where the table is not there yet."""
    return _decisions(delta.snapshot(location))


def record(
    location: Location, decide: Callable[[tuple[Decision, ...]], Decision]
) -> tuple[Decision, TableSnapshot, Commit]:
    """What is decided, the table that holds it, and the commit; the same as was decided last is not written again.

    decide: is told what was decided so far. Where another decision is written meanwhile it is asked again, so that of
    two that would ask for a retrain at once the second knows of the first.
    """
    return until_undisputed(lambda: _record(location, decide), lambda _: None)


def _record(
    location: Location, decide: Callable[[tuple[Decision, ...]], Decision]
) -> tuple[Decision, TableSnapshot, Commit]:
    before = delta.snapshot(location)
    so_far = _decisions(before)
    found = decide(so_far)
    last = so_far[-1] if so_far else None
    if before is not None and last is not None and _same(last, found):
        return last, before, Commit(before.version, 0, 0, (), unchanged=True)
    row = {name: getattr(found, name) for name in _SCHEMA.names}
    rows = pa.Table.from_pylist([{**row, "reasons": list(found.reasons)}], schema=_SCHEMA)
    staged = stage(rows.to_batches(), _SCHEMA, location)
    done = delta.commit(staged, read=before, replaced=(), transactions={_APP_ID: found.number}, evidence={})
    return found, delta.existing(location), done


def _same(last: Decision, found: Decision) -> bool:
    """Whether it was decided before.

    A retrain that was asked for stands for as long as the champion is the same and whatever still asks has to wait.
    """
    if last.champion != found.champion or found.outcome == "retrain":
        return False
    waits = last.outcome == "retrain" and found.outcome == "wait"
    return waits or (last.outcome, last.reasons) == (found.outcome, found.reasons)


def _decisions(snapshot: TableSnapshot | None) -> tuple[Decision, ...]:
    if snapshot is None:
        return ()
    rows = delta.read_rows(snapshot).sort_by("number").to_pylist()
    return tuple(Decision(**{**row, "reasons": tuple(row["reasons"])}) for row in rows)
