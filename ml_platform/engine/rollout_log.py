"""The log of an endpoint's rollouts: a Delta table with a row for each state that was wanted, and for each seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from ml_platform.engine import delta
from ml_platform.engine.rollout import State
from ml_platform.engine.staging import stage
from ml_platform.engine.terms import Terms
from ml_platform.errors import ConflictError
from ml_platform.records.table import Location

_APP_ID = "rollout"
_MOMENT = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        pa.field("sequence", pa.int64()),
        pa.field("at", _MOMENT),
        pa.field("stage", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("before_version", pa.int64()),
        pa.field("share", pa.float64()),
        pa.field("serves_since", _MOMENT),
        pa.field("reasons", pa.string()),
        pa.field("beside", pa.bool_()),
        pa.field("opened", pa.int64()),
        pa.field("cursor", pa.int64()),
        pa.field("terms", pa.string()),
        pa.field("before_terms", pa.string()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """A state as it was written down.

    terms, before: of its target, and of what stood before. opened, cursor: places in the prediction log at which the
    rollout, and its present stage, began. sequence: 1 for the first entry. at: when it was written, UTC.
    """

    state: State
    terms: Terms
    before: Terms | None
    opened: int = 0
    cursor: int = 0
    sequence: int = 0
    at: datetime | None = None


class RolloutLog:
    """Entries in the order in which they were written. location: of the table, which comes with the first."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def last(self) -> Entry | None:
        """The latest entry."""
        rows = self._rows()
        return _entry(rows[-1]) if rows else None

    def latest(self, count: int) -> list[dict[str, Any]]:
        """The latest entries as people read them, the newest first."""
        shown = ("at", "version", "stage", "share", "serves_since", "reasons")
        return [{name: row[name] for name in shown} for row in reversed(self._rows()[-count:])]

    def write(self, entry: Entry, at: datetime) -> Entry:
        """The entry stands, behind the one that it was made from; as it stands then.

        Raises ConflictError where somebody else wrote meanwhile.
        """
        before = delta.snapshot(self._location)
        written = Entry(
            entry.state, entry.terms, entry.before, entry.opened, entry.cursor, sequence=entry.sequence + 1, at=at
        )
        self._require_next(written)
        rows = pa.Table.from_pylist([_row(written)], schema=_SCHEMA)
        staged = stage(rows.to_batches(), _SCHEMA, self._location)
        transactions = {_APP_ID: written.sequence}
        delta.commit(staged, read=before, replaced=(), transactions=transactions, evidence={})
        return written

    def _require_next(self, entry: Entry) -> None:
        stands = delta.transaction(self._location, _APP_ID) or 0
        if entry.sequence != stands + 1:
            raise ConflictError(
                f"entry {entry.sequence} of {self._location.key} is to be written, but {stands} stand",
                remedy="Somebody else is rolling the endpoint out: wait for that run",
            )

    def _rows(self) -> Sequence[dict[str, Any]]:
        found = delta.snapshot(self._location)
        rows = delta.read_rows(found).to_pylist() if found else []
        return sorted(rows, key=lambda row: int(row["sequence"]))


def _row(entry: Entry) -> dict[str, Any]:
    state = entry.state
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "stage": state.stage,
        "version": state.target.version,
        "before_version": state.before.version if state.before else None,
        "share": state.share,
        "serves_since": state.since,
        "reasons": json.dumps(list(state.reasons), ensure_ascii=False),
        "beside": state.beside,
        "opened": entry.opened,
        "cursor": entry.cursor,
        "terms": json.dumps(entry.terms.plain()),
        "before_terms": json.dumps(entry.before.plain()) if entry.before else None,
    }


def _entry(row: dict[str, Any]) -> Entry:
    terms = Terms.read(json.loads(row["terms"]))
    before = Terms.read(json.loads(row["before_terms"])) if row["before_terms"] else None
    state = State(
        target=terms.target,
        before=before.target if before else None,
        stage=row["stage"],
        beside=row["beside"],
        share=row["share"],
        since=row["serves_since"],
        reasons=tuple(json.loads(row["reasons"])),
    )
    return Entry(state, terms, before, row["opened"], row["cursor"], row["sequence"], row["at"])
