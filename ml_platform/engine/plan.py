"""Plans: the queries that a table's declaration comes to, in DuckDB's dialect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

STANDING = "standing.rows"
INCOMING = "incoming.rows"


@dataclass(frozen=True)
class Shape:
    """What a table's rows have to look like.

    key: columns of which every row has a value of its own; empty for a table without a key.
    partition: the partition column, None for an unpartitioned table.
    write: `overwrite` replaces the selected partitions, `merge` keeps standing rows that no newer row replaces,
    `append` leaves every standing row.
    newest: for a merge, the column whose greatest value wins; on a tie the incoming row does.
    columns: further columns that have to be there.
    """

    key: tuple[str, ...] = ()
    partition: str | None = None
    write: Literal["overwrite", "merge", "append"] = "overwrite"
    newest: str | None = None
    columns: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the rows must have."""
        named = (*self.key, self.partition, self.newest, *self.columns)
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


def rows(query: str, shape: Shape, partitions: Collection[str]) -> str:
    """The query's rows of the selected partitions, equal rows collapsed where the table has a key, in a fixed order.

    A row whose partition is NULL is kept, so that the audit can refuse it.
    """
    distinct = "DISTINCT " if shape.key else ""
    selected = f"SELECT {distinct}* FROM {made(query)}{_within(shape, partitions)}"
    return selected if shape.write == "merge" else f"{selected}{_ordered(shape)}"


def merged(query: str, shape: Shape, partitions: Collection[str], columns: Sequence[str]) -> str:
    """The query's rows and the standing rows, for each key the newest; ties among incoming rows stay, for the audit.

    columns: of the incoming rows; standing rows are brought to them.
    """
    key = ", ".join(quoted(column) for column in shape.key)
    listed = ", ".join(quoted(column) for column in columns)
    newest = f"{quoted(shape.newest)} DESC NULLS LAST, " if shape.newest else ""
    return (
        f"SELECT {listed} FROM ("
        f"SELECT {listed}, 1 AS _side FROM ({rows(query, shape, partitions)}) AS incoming "
        f"UNION ALL BY NAME SELECT *, 0 AS _side FROM {STANDING}{_within(shape, partitions)}) AS both_sides "
        f"QUALIFY rank() OVER (PARTITION BY {key} ORDER BY {newest}_side DESC) = 1{_ordered(shape)}"
    )


def _within(shape: Shape, partitions: Collection[str]) -> str:
    if shape.partition is None:
        return ""
    column = quoted(shape.partition)
    return f" WHERE {column} IN ({', '.join(literal(value) for value in sorted(partitions))}) OR {column} IS NULL"


def _ordered(shape: Shape) -> str:
    columns = [*([shape.partition] if shape.partition else []), *shape.key]
    return f" ORDER BY {', '.join(quoted(column) for column in columns)}" if shape.key else " ORDER BY ALL"
