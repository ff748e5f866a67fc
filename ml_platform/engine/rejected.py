"""Rejected rows: the quarantine of a source, which holds of every file the rows that its declaration does not take.

What stands of a file is replaced whenever the file is read again, so that a run that was killed is mended by the next.
A row that was refused under another declaration than today's makes its file be read again; it then stands in the table
or here, never in both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml_platform.engine import delta
from ml_platform.engine.evolution import standing
from ml_platform.engine.quarantine import SCHEMA, key_of
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.source_rows import Misfit
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse

# The content of the file that a row is from, and the declaration that refused it.
_DIGEST, _DECLARATION = "source_digest", "declaration"
_SCHEMA = SCHEMA.append(pa.field(_DIGEST, pa.string())).append(pa.field(_DECLARATION, pa.string()))
_SAMPLE = 10


@dataclass(frozen=True)
class Shown:
    """What a quarantine shows: its version, how many rows there are and by which rule, and the first of them."""

    snapshot: TableSnapshot
    rows: int
    by_rule: dict[str, int]
    sample: Sequence[dict[str, Any]]


class Rejected:
    """The quarantine of one source as it stands, and what a run learns of it until `commit`.

    declaration: digest of what the source declares today. at: the moment of the run, UTC.
    """

    def __init__(self, key: str, lakehouse: Lakehouse, declaration: str, at: datetime) -> None:
        self._location: Location = lakehouse.table(key_of(key))
        self._snapshot = delta.snapshot(self._location)
        self._declaration = declaration
        self._at = at
        self._read: set[str] = set()
        self._stay: set[tuple[str, int]] = set()
        self._places: dict[str, dict[int, str]] = {}
        self._spilled = _Spill()
        for batch in self._rows():
            columns = (batch[name].to_pylist() for name in (_DIGEST, "source_offset", _DECLARATION))
            for digest, offset, refused_by in zip(*columns, strict=True):
                self._places.setdefault(digest, {})[offset] = refused_by

    @property
    def holds_any(self) -> bool:
        """Whether any row stood in it when it was opened."""
        return bool(self._places)

    def holds(self, digest: str) -> bool:
        """Whether rows of a file stand in it."""
        return digest in self._places

    def outdated(self, digest: str) -> bool:
        """Whether rows of a file stand in it that another declaration refused."""
        return any(refused_by != self._declaration for refused_by in self._places.get(digest, {}).values())

    def reading(self, digest: str) -> None:
        """A file is read again: of its rows, only what is added or kept from here on will stand."""
        self._read.add(digest)

    def add(self, path: str, digest: str, misfits: Sequence[Misfit]) -> None:
        """Rows of a file are refused."""
        rows = [(it.rule, it.reason, path, it.offset, it.row, self._at, digest, self._declaration) for it in misfits]
        if rows:
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)
            ]
            self._spilled.write(pa.record_batch(arrays, schema=_SCHEMA))

    def keep(self, digest: str, offsets: Collection[int]) -> int:
        """Of these rows, those that stand in it stay, to be tried by another run; how many they are."""
        stay = {(digest, offset) for offset in offsets if offset in self._places.get(digest, {})}
        self._stay |= stay
        return len(stay)

    def commit(self, *, made: bool) -> None:
        """The rows that were refused stand; where nothing changes, no version is made.

        made: whether the table is there afterwards in any case, empty too.
        """
        moved = self._spilled.rows or any(digest in self._places for digest in self._read)
        if moved or (made and self._snapshot is None):
            until_undisputed(self._commit)

    def close(self) -> None:
        """What was learnt and not committed is forgotten."""
        self._spilled.close()

    def _commit(self) -> None:
        before = delta.snapshot(self._location)
        stood = present(self._location)
        batches = (batch for rows in (self._staying(before), self._spilled.batches()) for batch in rows)
        staged = stage(batches, _SCHEMA, self._location)
        with undone_on_failure(staged, stood):
            delta.commit(staged, read=before, replaced=before.files if before else (), transactions={}, evidence={})

    def _staying(self, before: TableSnapshot | None) -> Iterator[pa.RecordBatch]:
        for batch in standing(before, _SCHEMA) if before else ():
            places = zip(batch[_DIGEST].to_pylist(), batch["source_offset"].to_pylist(), strict=True)
            yield batch.filter(pa.array([it[0] not in self._read or it in self._stay for it in places], pa.bool_()))

    def _rows(self) -> Iterator[pa.RecordBatch]:
        if self._snapshot is not None:
            yield from standing(self._snapshot, _SCHEMA)


def told(key: str, lakehouse: Lakehouse) -> Shown:
    """What stands in the quarantine of a source. Raises NotFoundError where it was never made."""
    snapshot = delta.existing(lakehouse.table(key_of(key)))
    by_rule: dict[str, int] = {}
    sample: list[dict[str, Any]] = []
    for batch in standing(snapshot, _SCHEMA):
        for row in pc.value_counts(batch["rule"]).to_pylist():
            by_rule[row["values"]] = by_rule.get(row["values"], 0) + row["counts"]
        sample += batch.slice(0, _SAMPLE - len(sample)).to_pylist()
    return Shown(snapshot, snapshot.rows, by_rule, sample)


class _Spill:
    """Rows on disk until they are staged. rows: how many there are."""

    def __init__(self) -> None:
        self.rows = 0
        self._file: Any = None
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` ends it
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        if self._writer is None:
            return
        self._writer.close()
        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.close()
