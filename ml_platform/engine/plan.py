"""Plans: the queries that a table's declaration comes to, in DuckDB's dialect."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

STANDING = "standing.rows"
INCOMING = "incoming.rows"
OURS = ("incoming", "standing", "deleted", "layer", "probe", "staged")
"""The schemas of the relations that plans are over, beside the tables that a declaration reads."""
KEEPING = ("merge", "history")


@dataclass(frozen=True)
class Shape:
    """What a table's rows have to look like.

    key: columns of which every row has a value of its own; empty for a table without a key.
    partition: the partition column, None for an unpartitioned table.
    write: `overwrite` replaces the selected partitions, `merge` keeps standing rows that no newer row replaces,
    `append` leaves every standing row, `history` keeps every version that a key ever had.
    newest: for a merge, the column whose greatest value wins; for a history, the moment from which a version holds.
    delete_when: predicate over an incoming row that makes it a delete marker of its key.
    columns: further columns that have to be there.
    """

    key: tuple[str, ...] = ()
    partition: str | None = None
    write: Literal["overwrite", "merge", "append", "history"] = "overwrite"
    newest: str | None = None
    delete_when: str | None = None
    columns: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the rows must have; a history's have other moments than the one that it is made by."""
        named = (*self.key, self.partition, None if self.write == "history" else self.newest, *self.columns)
        return tuple(dict.fromkeys(column for column in named if column is not None))


def quoted(name: str) -> str:
    """The name as an SQL identifier.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """The text as an SQL string.

    >>> literal("O'Hare")
    "'O''Hare'"
    """
    return "'" + value.replace("'", "''") + "'"


def made(query: str) -> str:
    """The query as something to select from.

    >>> made("SELECT 1 -- one")
    '(SELECT 1 -- one\\n) AS made'
    """
    return f"({query}\n) AS made"  # a query may end in a comment


def rows(query: str, shape: Shape, partitions: Collection[str], every: Collection[str]) -> str:
    """The query's rows of the selected partitions, equal rows collapsed where the table has a key, in a fixed order.

    Of a table that keeps standing rows they come as they are: what becomes of them is decided on what stands.
    A row whose partition is none of `every` is kept, so that the audit can refuse it.
    """
    distinct = "DISTINCT " if shape.key and shape.write not in KEEPING else ""
    selected = f"SELECT {distinct}* FROM {made(query)}{_within(shape, partitions, every)}"
    return selected if shape.write in KEEPING else f"{selected}{_ordered(shape)}"


def _within(shape: Shape, partitions: Collection[str], every: Collection[str]) -> str:
    """All but the rows of partitions that were not selected, as a further clause."""
    others = sorted({*every} - {*partitions})
    if shape.partition is None or not others:
        return ""
    column = quoted(shape.partition)
    return f" WHERE {column} IS NULL OR {column} NOT IN ({', '.join(literal(value) for value in others)})"


def _ordered(shape: Shape) -> str:
    columns = [*([shape.partition] if shape.partition else []), *shape.key]
    return f" ORDER BY {', '.join(quoted(column) for column in columns)}" if shape.key else " ORDER BY ALL"
