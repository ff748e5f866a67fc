"""The origins of rows: which versions of which tables a row was made of, back to its place in a landed file.

By row where a query makes each row from one row of every table that it joins: it is then asked again, at the versions
that its commit read, with the rows that it read beside what it gave. Whatever else a table is made by is followed by
partition: everything that it may have looked at, of the versions that it read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.declared import Declared
from ml_platform.engine.plan import literal, quoted
from ml_platform.engine.provenance import AskedRows, asked_rows
from ml_platform.engine.recipe import READ
from ml_platform.engine.sql import relation
from ml_platform.engine.table_log import Entry, TableLog, read_log
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

Row = Mapping[str, Any]
_MANY = 100
_FILE, _DIGEST, _OFFSET = "_source_file", "_source_digest", "_source_offset"


@dataclass(frozen=True)
class LandedRows:
    """Rows of one landed file.

    rows: how many; where all rows of some partitions are meant, these. offsets: the places, counted from 0, of the very
    rows, or of those that carry the key; None where nobody can say.
    """

    path: str
    digest: str
    rows: int
    offsets: tuple[int, ...] | None


@dataclass(frozen=True)
class Origin:
    """What of a table version something was made of.

    rows: how many. because: why it is everything in `partitions` and not the very rows; empty where it is these.
    named: where it is everything, what names the rows of it that carry the key, and how many these are; else empty.
    partitions: empty for a table that is not divided. landed: of a bronze table, the rows as they landed.
    of: what these rows were made of in turn.
    """

    key: str
    version: int
    rows: int
    partitions: tuple[str, ...]
    because: str = ""
    named: str = ""
    landed: tuple[LandedRows, ...] = ()
    of: tuple[Origin, ...] = ()


@dataclass
class Origins:
    """Follows rows back; what was found once is not looked for again."""

    declared: Declared
    lakehouse: Lakehouse
    compute: Compute
    _logs: dict[str, TableLog] = field(default_factory=dict)
    _found: dict[tuple[Any, ...], Origin] = field(default_factory=dict)

    def log(self, key: str) -> TableLog:
        """The log of a table, read once."""
        if key not in self._logs:
            self._logs[key] = read_log(self.lakehouse.table(key))
        return self._logs[key]

    def of_rows(self, key: str, version: int, rows: Sequence[Row]) -> Origin:
        """Where these rows of a table version came from. rows: every column of each."""
        snap = self._snapshot(key, version)
        if snap is None:
            return _cleared_away(key, version)
        files = [file for row in rows for file in self._holding(snap, row)]
        partitions = _partitions(files)
        if key in self.declared.sources:
            return Origin(key, version, len(rows), partitions, landed=_landed(rows))
        entry, read = self._made(snap, files)
        exact = self._exact(key, entry, read, rows, partitions)
        own = self._own(key, rows)

        def whole(it: str, because: str) -> Origin:
            within, named = self._from(key, it, partitions), self._named(key, it, own)
            return self.of_partitions(it, read[it], within, because, named)

        if isinstance(exact, str):
            of = tuple(whole(it, exact) for it in read)
        else:
            others = f"{key} looks at more of it than a row"
            of = tuple(
                self.of_rows(it, read[it], exact[it]) if it in exact else whole(it, others)
                for it in read
                if it not in exact or exact[it]
            )
        return Origin(key, version, len(rows), partitions, of=of)

    def of_partitions(
        self, key: str, version: int, partitions: Collection[str] | None, because: str, named: Row | None = None
    ) -> Origin:
        """Where all rows of some partitions came from, of all without any. named: what rows have that carry the key."""
        name = (key, version, tuple(sorted(partitions or ())), str(named))
        if name not in self._found:
            self._found[name] = self._whole(key, version, partitions, because, named)
        return self._found[name]

    def _whole(
        self, key: str, version: int, partitions: Collection[str] | None, because: str, named: Row | None
    ) -> Origin:
        snap = self._snapshot(key, version)
        if snap is None:
            return _cleared_away(key, version)
        divided = bool(snap.partition_by)
        kept = [
            f for f in snap.files if partitions is None or not divided or set(f.partition.values()) <= {*partitions}
        ]
        part, parts = _some(snap, kept), _partitions(kept)
        told = f"{self._rows(part, named):,} with {_told(named)}" if named and kept else ""
        if key in self.declared.sources:
            return Origin(key, version, part.rows, parts, because, told, self._counted(part, named))
        _, read = self._made(snap, kept)
        of = tuple(
            self.of_partitions(it, at, self._from(key, it, parts), because, self._named(key, it, named))
            for it, at in read.items()
        )
        return Origin(key, version, part.rows, parts, because, told, of=of)

    def _own(self, key: str, rows: Sequence[Row]) -> Row | None:
        """What one row of a table says that it is about."""
        entity = self.declared.entities.get(key, ())
        return {name: rows[0][name] for name in entity} if entity and len(rows) == 1 else None

    def _named(self, key: str, read: str, own: Row | None) -> Row | None:
        """The same by the columns of an input; None where one of them is made of more than one column, or of none."""
        origins = self.declared.origins(key)
        columns = {name: [column for of, column in origins.get(name, ()) if of == read] for name in own or ()}
        if not own or any(len(of) != 1 or len(origins[name]) != 1 for name, of in columns.items()):
            return None
        return {columns[name][0]: value for name, value in own.items()}

    def _from(self, key: str, read: str, partitions: Collection[str]) -> Collection[str] | None:
        return self.declared.made_from(key, read, partitions) if partitions else None

    def _snapshot(self, key: str, version: int) -> TableSnapshot | None:
        try:
            return delta.snapshot(self.lakehouse.table(key), version)
        except (NotFoundError, ServiceError):
            return None

    def _holding(self, snap: TableSnapshot, row: Row) -> list[DataFile]:
        """The files that hold a row; those of its partition where only one can."""
        files = [f for f in snap.files if all(row.get(name) == value for name, value in f.partition.items())]
        if len(files) < 2:
            return files
        return [f for f in files if self._rows(_some(snap, [f]), row)]

    def _rows(self, of: StagedFiles, row: Row) -> int:
        query = f"SELECT count(*) AS n FROM held.rows WHERE {matching(row, of.schema.names)}"
        return int(self.compute.fetch(query, {"held.rows": of})["n"][0].as_py())

    def _made(self, snap: TableSnapshot, files: Sequence[DataFile]) -> tuple[Entry | None, dict[str, int]]:
        """The newest commit that made one of the files, behind any that merely arranged it anew, and what it read."""
        log, key = self.log(snap.location.key), snap.location.key
        entries = [e for e in _makers(log, {file.path for file in files}) if e.version <= snap.version]
        last = max(entries, key=lambda entry: entry.version, default=None)
        read: dict[str, int] = {}
        for entry in sorted(entries, key=lambda entry: entry.version):
            said = entry.evidence.get("read")
            read |= said if isinstance(said, dict) else {}
        if not read:  # the log has lost the commit; the numbers that the table keeps say what it last read
            names = {f"{READ}{it}": it for it in self.declared.reads.get(key, ())}
            kept = delta.transactions(snap.location, names, snap.version)
            read = {names[name]: number for name, number in kept.items() if number is not None}
        return last, read

    def _exact(
        self, key: str, entry: Entry | None, read: Mapping[str, int], rows: Sequence[Row], partitions: Sequence[str]
    ) -> dict[str, list[Row]] | str:
        """Table → the very rows of it that made these; or why that cannot be said."""
        query = self.declared.query(key)
        if len(rows) > _MANY:
            return f"{key} made it from more than {_MANY} rows"
        if query is None:
            return f"{key} is not made row by row"
        if entry is None:
            return f"the log of {key} has lost the commit that made it"
        if entry.evidence.get("code") != query.code:
            return f"{key} is made by another query today"
        inputs = {it: snap for it, at in read.items() if (snap := self._snapshot(it, at)) is not None}
        asked = asked_rows(query.text, {it: snap.schema.names for it, snap in inputs.items()})
        if asked is None or len(inputs) < len(read):
            return f"{key} is not made row by row" if len(inputs) == len(read) else f"what {key} read is not all there"
        within = {relation(it): self._within(key, it, snap, partitions) for it, snap in inputs.items()}
        try:
            found = [each for row in rows for each in self._asked(asked, within, row)]
        except ServiceError as error:
            return f"{key} cannot be asked again: {error}"
        if not found:
            return f"{key} gives no such row today"
        return {it: _distinct(found, names) for it, names in asked.names.items()}

    def _within(self, key: str, read: str, snap: TableSnapshot, partitions: Sequence[str]) -> StagedFiles:
        reached = self._from(key, read, partitions)
        if reached is None or not snap.partition_by:
            return snap
        return _some(snap, [file for file in snap.files if set(file.partition.values()) <= {*reached}])

    def _asked(self, asked: AskedRows, inputs: Mapping[str, StagedFiles], row: Row) -> list[Row]:
        given = {name for names in asked.names.values() for name in names.values()}
        # What a history adds to its rows, its query does not give.
        named = self.compute.fetch(f"SELECT * FROM ({asked.query}\n) AS made LIMIT 0", inputs).schema.names
        columns = [name for name in named if name not in given]
        found = self.compute.fetch(f"SELECT * FROM ({asked.query}\n) AS made WHERE {matching(row, columns)}", inputs)
        rows: list[Row] = found.to_pylist()
        return rows

    def _counted(self, of: StagedFiles, named: Row | None) -> tuple[LandedRows, ...]:
        if not of.files:
            return ()
        columns = f"{_FILE} AS path, {_DIGEST} AS digest"
        query = f"SELECT {columns}, count(*) AS rows FROM held.rows GROUP BY ALL ORDER BY ALL"
        found = self.compute.fetch(query, {"held.rows": of}).to_pylist()
        carrying: dict[tuple[str, str], tuple[int, ...]] = {}
        if named:
            which = f"SELECT {_FILE}, {_DIGEST}, {_OFFSET} FROM held.rows WHERE {matching(named, list(named))}"
            rows = self.compute.fetch(which, {"held.rows": of}).to_pylist()
            carrying = {(it.path, it.digest): it.offsets or () for it in _landed(rows)}
        return tuple(
            LandedRows(row["path"], row["digest"], row["rows"], carrying.get((row["path"], row["digest"])))
            for row in found
        )


def matching(row: Row, columns: Collection[str]) -> str:
    """An SQL predicate that the row fulfils, and another only where it has the same values in these columns."""
    named = [name for name in columns if name in row and not isinstance(row[name], bytes | list | dict)]
    return (
        " AND ".join(
            f"{quoted(name)} {'IS NULL' if row[name] is None else f'= {written(row[name])}'}" for name in named
        )
        or "TRUE"
    )


def written(value: Any) -> str:
    """A value in SQL.

    >>> written("O'Hare"), written(7), written(date(2013, 1, 2))
    ("'O''Hare'", '7', "DATE '2013-01-02'")
    """
    if isinstance(value, datetime):
        return f"CAST('{value.isoformat()}' AS {'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'})"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE)"
    return literal(value) if isinstance(value, str) else str(value).upper() if isinstance(value, bool) else str(value)


def _makers(log: TableLog, paths: Collection[str]) -> list[Entry]:
    """The commits that made the files; behind one that only arranged rows anew, those that made what it replaced."""
    found: dict[int, Entry] = {}
    waiting = [set(paths)]
    while waiting:
        wanted = waiting.pop()
        for entry in log.entries.values():
            if entry.version in found or entry.adds.isdisjoint(wanted):
                continue
            found[entry.version] = entry
            if "maintenance" in entry.evidence:
                waiting.append(set(entry.removes))
    return [entry for entry in found.values() if "maintenance" not in entry.evidence]


def _landed(rows: Sequence[Row]) -> tuple[LandedRows, ...]:
    offsets: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        offsets.setdefault((row[_FILE], row[_DIGEST]), set()).add(row[_OFFSET])
    return tuple(LandedRows(*name, len(of), tuple(sorted(of))) for name, of in sorted(offsets.items()))


def _distinct(found: Sequence[Row], names: Mapping[str, str]) -> list[Row]:
    """The rows of one table among those that were joined; one that an outer join did not find is none."""
    rows = {tuple(str(row[given]) for given in names.values()): row for row in found}
    taken = [{name: row[given] for name, given in names.items()} for row in rows.values()]
    return [row for row in taken if any(value is not None for value in row.values())]


def _some(snap: TableSnapshot, files: Sequence[DataFile]) -> TableSnapshot:
    return TableSnapshot(snap.location, snap.schema, snap.partition_by, tuple(files), snap.version)


def _partitions(files: Sequence[DataFile]) -> tuple[str, ...]:
    return tuple(sorted({value for file in files for value in file.partition.values()}))


def _told(named: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _cleared_away(key: str, version: int) -> Origin:
    return Origin(key, version, 0, (), f"version {version} of {key} is not there any more")
