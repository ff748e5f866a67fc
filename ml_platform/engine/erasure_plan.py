"""The plan of an erasure: which rows of which tables go, so that nothing is left of a key.

Up from the table that is named, for what it was made of would make its rows again; then down from there to all that was
made of them. Row by row where a query makes each row from one row, else by columns: a table that carries the key's
columns is searched for the key. A table that has neither holds nobody's rows: it is made again by the next run.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from ml_platform.engine import delta
from ml_platform.engine.declared import Declared
from ml_platform.engine.origins import matching
from ml_platform.engine.provenance import AskedRows, asked_rows
from ml_platform.engine.sql import relation
from ml_platform.errors import DeclarationError, NotFoundError, nearest
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

# Columns and values that a row has; several of them: any of these rows.
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What goes.

    table: the table that was named; key: column → value, as it was named.
    rows: table → the rows that go, each by columns of it. again: tables that are made again without them.
    name: of this erasure, which tells nothing of the key.
    """

    table: str
    key: Row
    rows: Mapping[str, Sequence[Row]]
    again: Sequence[str] = ()
    name: str = field(default_factory=lambda: uuid4().hex[:8])

    def merged(self, other: Plan) -> Plan:
        """This and what another planned, which was not done to its end."""
        rows = {key: [*self.rows.get(key, ()), *other.rows.get(key, ())] for key in {**self.rows, **other.rows}}
        distinct = {key: list({_written(row): row for row in of}.values()) for key, of in rows.items()}
        return Plan(self.table, self.key, distinct, sorted({*self.again, *other.again} - distinct.keys()), other.name)


def plan(table: str, key: Mapping[str, str], declared: Declared, lakehouse: Lakehouse, compute: Compute) -> Plan:
    """What goes with a key. Nothing is written.

    key: column of the table → value, as it was typed. Raises NotFoundError for a table or a column that is not there;
    DeclarationError where the rows that it was made of cannot be told, so that they would come back.
    """
    if table not in declared.tables:
        raise NotFoundError(
            f"the table is {table!r}, but none of that name is declared", allowed=nearest(table, declared.tables)
        )
    planning = _Planning(declared, lakehouse, compute)
    snap = delta.existing(lakehouse.table(table))
    planning.rows[table] = [_typed(key, snap)]
    planning.up(table)
    planning.down()
    held = {name: rows for name, rows in planning.rows.items() if rows}
    return Plan(table, planning.rows[table][0], held, sorted(planning.again - held.keys()))


def written(of: Plan) -> bytes:
    """The plan as JSON, in which it is kept while it is being done."""
    rows = {key: [json.loads(_written(row)) for row in those] for key, those in of.rows.items()}
    said = {
        "table": of.table,
        "key": json.loads(_written(of.key)),
        "rows": rows,
        "again": list(of.again),
        "name": of.name,
    }
    return json.dumps(said).encode()


def read(content: bytes) -> Plan:
    """The plan that was written."""
    said = json.loads(content)
    rows = {key: [_row(row) for row in those] for key, those in said["rows"].items()}
    return Plan(said["table"], _row(said["key"]), rows, said["again"], said["name"])


@dataclass
class _Planning:
    declared: Declared
    lakehouse: Lakehouse
    compute: Compute
    rows: dict[str, list[Row]] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)

    def up(self, table: str) -> None:
        """The rows that the table's were made of go too, back to those that were landed."""
        if table in self.declared.sources:
            return
        for key in self.declared.reads.get(table, ()):
            if key not in self.declared.tables or key in self.rows:
                continue
            self.rows[key] = self._above(table, key)
            self.up(key)

    def down(self) -> None:
        """The rows that were made of these go too, table after table."""
        waiting = [key for key in self._ordered() if key not in self.declared.sources]
        for table in waiting:
            parents = [key for key in self.declared.reads.get(table, ()) if key in self.rows or key in self.again]
            if not parents or delta.snapshot(self.lakehouse.table(table)) is None:
                continue
            found = [row for key in parents for row in self._below(table, key)]
            stood = self.rows.get(table, [])
            if found or stood:
                self.rows[table] = list({_written(row): row for row in (*stood, *found)}.values())
            else:
                self.again.add(table)

    def _above(self, table: str, key: str) -> list[Row]:
        """The rows of an input that some rows of a table were made of."""
        wanted = " OR ".join(f"({matching(row, list(row))})" for row in self.rows[table])
        asked = self._asked(table)
        if asked is not None and key in asked[0].names:
            names = asked[0].names[key]
            query = f"SELECT * FROM ({asked[0].query}\n) AS made WHERE {wanted}"
            found = self.compute.fetch(query, asked[1]).to_pylist()
            rows = [{name: row[given] for name, given in names.items()} for row in found]
            # What the key is made of names it as well, in rows that were quarantined too.
            made_of = {column for _, column in self._origins(table, key)}
            known = sorted(made_of) or self.declared.entities.get(key)
            kept = [_only(row, known or list(row)) for row in rows if any(it is not None for it in row.values())]
            return list({_written(row): row for row in kept}.values())
        mapped = [self._mapped(row, self._columns_above(table, key, row)) for row in self.rows[table]]
        if any(row is None for row in mapped):
            columns = ", ".join(self.rows[table][0])
            raise DeclarationError(
                f"{columns} of {table} cannot be followed back to {key}, but rows that stay there come back",
                remedy=f"Erase from {key}, or from what it is made of, by its own columns",
            )
        return [row for row in mapped if row is not None]

    def _below(self, table: str, key: str) -> list[Row]:
        """The rows of a table that were made of some rows of an input."""
        if not self.rows.get(key):
            return []
        known = self.declared.entities.get(table)
        asked = self._asked(table)
        if asked is not None and key in asked[0].names:
            names = asked[0].names[key]
            wanted = " OR ".join(
                f"({matching({names[it]: value for it, value in row.items()}, [names[it] for it in row])})"
                for row in self.rows[key]
            )
            found = self.compute.fetch(f"SELECT * FROM ({asked[0].query}\n) AS made WHERE {wanted}", asked[1])
            given = {name for columns in asked[0].names.values() for name in columns.values()}
            own = [name for name in found.schema.names if name not in given]
            rows = [_only(row, known or own) for row in found.to_pylist()]
            if rows:
                return rows
        columns = delta.existing(self.lakehouse.table(table)).schema.names
        mapped = (self._mapped(row, self._columns_below(table, key, row, columns)) for row in self.rows[key])
        return [row for row in mapped if row is not None]

    def _asked(self, table: str) -> tuple[AskedRows, dict[str, TableSnapshot]] | None:
        """The table's query with the rows that it reads, over its inputs now; None where it has no such one."""
        query = self.declared.query(table)
        if query is None:
            return None
        inputs = {key: delta.existing(self.lakehouse.table(key)) for key in self.declared.reads.get(table, ())}
        asked = asked_rows(query.text, {key: snap.schema.names for key, snap in inputs.items()})
        return None if asked is None else (asked, {relation(key): snap for key, snap in inputs.items()})

    def _origins(self, table: str, key: str) -> list[tuple[str, str]]:
        """The columns of an input that the key's columns of a table are made of; none where one of them is not."""
        origins = self.declared.origins(table)
        found = [[it for it in origins.get(name, ()) if it[0] == key] for row in self.rows[table] for name in row]
        return [it for each in found for it in each] if all(found) else []

    def _columns_above(self, table: str, key: str, row: Row) -> dict[str, str]:
        """Column of a row → the column of an input that it is, where it is made of that one alone."""
        origins = self.declared.origins(table)
        known = delta.existing(self.lakehouse.table(key)).schema.names
        found = {name: [column for of, column in origins.get(name, ()) if of == key] for name in row}
        same = {name: [name] if not origins.get(name) and name in known else [] for name in row}
        return {name: (found[name] or same[name])[0] for name in row if len(found[name] or same[name]) == 1}

    def _columns_below(self, table: str, key: str, row: Row, columns: Collection[str]) -> dict[str, str]:
        """Column of a row of an input → the column of the table that it is, by lineage or else by its name."""
        found: dict[str, str] = {}
        for name, origins in self.declared.origins(table).items():
            if len(origins) == 1 and origins[0][0] == key and origins[0][1] in row and name in columns:
                found.setdefault(origins[0][1], name)
        return {name: found.get(name, name) for name in row if name in found or name in columns}

    def _mapped(self, row: Row, columns: Mapping[str, str]) -> Row | None:
        """The row by other columns; None where one of its own is not among them."""
        return {columns[name]: value for name, value in row.items()} if row.keys() <= columns.keys() else None

    def _ordered(self) -> list[str]:
        """The tables, each behind those that it reads."""
        from graphlib import TopologicalSorter

        tables = set(self.declared.tables)
        reads = {key: [it for it in self.declared.reads.get(key, ()) if it in tables] for key in tables}
        return list(TopologicalSorter(reads).static_order())


def _typed(key: Mapping[str, str], snap: TableSnapshot) -> Row:
    """The key's values as the table's columns have them."""
    import pyarrow as pa

    row = {}
    for name, text in key.items():
        if name not in snap.schema.names:
            raise NotFoundError(
                f"the key is {name}, but {snap.location.key} has no such column",
                allowed=nearest(name, snap.schema.names),
            )
        try:
            row[name] = pa.scalar(text).cast(snap.schema.field(name).type).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            kind = snap.schema.field(name).type
            raise DeclarationError(
                f"the key's {name} is no {kind}, but that is what {snap.location.key} has"
            ) from error
    return row


def _only(row: Row, columns: Sequence[str]) -> Row:
    return {name: row[name] for name in columns if name in row}


def _written(row: Row) -> str:
    return json.dumps({name: _tagged(value) for name, value in row.items()}, sort_keys=True)


def _tagged(value: Any) -> Any:
    kinds = {datetime: "moment", date: "date"}
    return {kinds[type(value)]: value.isoformat()} if type(value) in kinds else value


def _row(row: Mapping[str, Any]) -> Row:
    reads = {"moment": datetime.fromisoformat, "date": date.fromisoformat}
    return {
        name: reads[next(iter(value))](next(iter(value.values()))) if isinstance(value, dict) else value
        for name, value in row.items()
    }
