"""Quarantine: where rows stand that a table refused, each with the reason, and where it came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ml_platform.engine import beside, delta
from ml_platform.engine.plan import quoted
from ml_platform.engine.staging import discard
from ml_platform.errors import ServiceError
from ml_platform.records.table import DataFile, Location, StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

SUFFIX = "__quarantine"
_ROWS = "quarantined.rows"
_SHOWN = ("rule", "reason", "source_file", "source_offset", "row")
_SAMPLE = 10

SCHEMA = pa.schema(
    [
        pa.field("rule", pa.string()),  # the rule that the row broke first, by its name in the declaration
        pa.field("reason", pa.string()),  # every rule that it broke, in sentences
        pa.field("source_file", pa.string()),  # NULL where the row comes from several, or from a computation
        pa.field("source_offset", pa.int64()),  # its place in the file, counted from 0
        pa.field("row", pa.string()),  # the row as it came, a JSON object
        pa.field("quarantined_at", pa.timestamp("us", tz="UTC")),
    ]
)


def key_of(table: str) -> str:
    """The asset key of a table's quarantine.

    >>> key_of("silver/flights")
    'silver/flights__quarantine'
    """
    return f"{table}{SUFFIX}"


def schema(partition: str | None) -> pa.Schema:
    """The columns of a quarantine, with the partition column of its table, which has none where this is None."""
    return SCHEMA if partition is None else SCHEMA.append(pa.field(partition, pa.string()))


@dataclass(frozen=True)
class Quarantine:
    """A table's quarantine as it stood when the table's making began.

    It is committed before its table, with the same numbers of what partitions are made from. Whoever is killed between
    the two leaves a table whose numbers do not stand, so it is made again; the rows that its quarantine has by then are
    left as they are. A row is in neither of the two at no moment: an append, whose earlier rows are not read again,
    takes those that pass by now from the version that its table knows, not from the latest.
    """

    location: Location
    partition: str | None
    before: TableSnapshot | None

    @classmethod
    def of(cls, key: str, partition: str | None, lakehouse: Lakehouse) -> Quarantine:
        """The latest version."""
        location = lakehouse.table(key_of(key))
        return cls(location, partition, delta.snapshot(location))

    def known_to(self, table: Location) -> TableSnapshot | None:
        """The version that its table names as its own; None where it names none."""
        version = delta.transaction(table, beside.named(SUFFIX)) if self.before else None
        return None if version is None else delta.snapshot(self.location, version)

    def require_known(self, known: TableSnapshot, partitions: Collection[str]) -> None:
        """Returns where the table knows what stands of these partitions; else raises ServiceError.

        It does not where a run that made them was killed before the table had the rows that came back.
        """
        if self.before is None or self.partition is None or self.before.version == known.version:
            return
        pairs = ((p, self._of(self.before, [p]), self._of(known, [p])) for p in partitions)
        lost = ", ".join(p for p, now, then in pairs if delta.fingerprint(now) != delta.fingerprint(then))
        if lost:
            raise ServiceError(
                f"{self.location.key} was written for {lost} by a run that ended before the table had what passes",
                remedy=f"Materialize {lost} of the table first, or with what is asked for",
            )

    def stands(self, numbers: Mapping[str, int]) -> bool:
        """Whether it has the rows of all these numbers, by their names."""
        if self.before is None:
            return False
        return delta.transactions(self.location, numbers, self.before.version) == dict(numbers)

    def after(self, bad: StagedFiles | None, partitions: Collection[str]) -> StagedFiles:
        """What will stand once the bad rows of these partitions are committed; what stands, where there are none.

        Raises NotFoundError where nothing stands and nothing comes.
        """
        if bad is None:
            return delta.existing(self.location)
        gone = {file.path for file in self._replaced(partitions)}
        stays = (file for file in (self.before.files if self.before else ()) if file.path not in gone)
        return StagedFiles(bad.location, bad.schema, bad.partition_by, (*stays, *bad.files))

    def commit(self, bad: StagedFiles, partitions: Collection[str], numbers: Mapping[str, int]) -> int:
        """The version in which the bad rows of these partitions stand, be it that those of the same numbers did before.

        Raises ConflictError where anybody committed since it was read.
        """
        if self.before is not None and self.stands(numbers):
            discard(bad, {file.path for file in self.before.files})
            return self.before.version
        replaced = self._replaced(partitions)
        return delta.commit(bad, read=self.before, replaced=replaced, transactions=numbers, evidence={}).version

    def rows(self, partitions: Collection[str]) -> TableSnapshot:
        """What stands in it now of these partitions. Raises NotFoundError where it was never made."""
        return self._of(delta.existing(self.location), partitions)

    def _replaced(self, partitions: Collection[str]) -> Sequence[DataFile]:
        return () if self.before is None else self._of(self.before, partitions).files

    def _of(self, snap: TableSnapshot, partitions: Collection[str]) -> TableSnapshot:
        return snap if self.partition is None else delta.restrict(snap, self.partition, partitions)


@dataclass(frozen=True)
class Told:
    """What a quarantine shows: how many rows each rule refused, and a few of the rows."""

    by_rule: Mapping[str, int]
    sample: Sequence[Mapping[str, Any]]


def told(of: StagedFiles, compute: Compute) -> Told:
    """What the rows of a quarantine come to."""
    read = {_ROWS: of}
    counts = compute.fetch(f"SELECT rule, count(*) AS rows FROM {_ROWS} GROUP BY rule ORDER BY rule", read)
    shown = ", ".join(quoted(name) for name in _SHOWN)
    sample = compute.fetch(f"SELECT {shown} FROM {_ROWS} ORDER BY {shown} LIMIT {_SAMPLE}", read)
    return Told({it["rule"]: it["rows"] for it in counts.to_pylist()}, sample.to_pylist())
