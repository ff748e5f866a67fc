"""Provenance: the rows that a row came from, or its place in a landed file, asked of a query that selects neither."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine.plan import quoted

if TYPE_CHECKING:
    from sqlglot import exp

FILE, OFFSET = "_source_file", "_source_offset"
ASKED_FILE, ASKED_OFFSET = "_asked_file", "_asked_offset"

_MANY_ROWS = ("joins", "laterals", "group", "having", "distinct", "qualify", "limit", "offset", "with_", "pivots")


def asked(query: str, carrying: Collection[str]) -> str | None:
    """The query with two more columns, file and offset; None where a row of it is not one row of one such table.

    carrying: the tables that have both columns, as the query names them. The text is kept as it stands but for what is
    written after its first word.
    """
    import sqlglot

    tree = sqlglot.parse_one(query, read="duckdb")
    source = _only_source(tree)
    if source is None or f"{source.db}.{source.name}" not in carrying:
        return None
    if _looks_at_many(tree):
        return None
    first, second = sqlglot.tokenize(query, read="duckdb")[:2]
    if first.text.upper() != "SELECT" or second.text.upper() == "ALL":
        return None
    name = quoted(source.alias_or_name)
    columns = f"{name}.{FILE} AS {ASKED_FILE}, {name}.{OFFSET} AS {ASKED_OFFSET},"
    return f"{query[: first.end + 1]} {columns} {query[first.end + 1 :]}"


def _only_source(tree: exp.Expr) -> exp.Table | None:
    """The one table that a plain projection, filtered or not, reads."""
    from sqlglot import exp

    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in _MANY_ROWS):
        return None
    start = tree.args.get("from_")
    table = start.this if start is not None else None
    return table if isinstance(table, exp.Table) and not table.args.get("joins") else None


@dataclass(frozen=True)
class AskedRows:
    """A query that gives with each of its rows the rows that it is one combination of.

    names: table, as an asset key → its column → the name under which the query gives that column.
    """

    query: str
    names: Mapping[str, Mapping[str, str]]


def asked_rows(query: str, columns: Mapping[str, Sequence[str]]) -> AskedRows | None:
    """The query with every column of the tables that it joins; None where a row of it is not one row of each of them.

    columns: asset key → columns, of all that it reads.
    """
    import sqlglot

    tree = sqlglot.parse_one(query, read="duckdb")
    tables = _joined(tree)
    keys = [f"{table.db}/{table.name}" for table in tables]
    if not tables or len(set(keys)) < len(keys) or not set(keys) <= columns.keys():
        return None
    if _looks_at_many(tree):
        return None
    first, second = sqlglot.tokenize(query, read="duckdb")[:2]
    if first.text.upper() != "SELECT" or second.text.upper() == "ALL":
        return None
    names = {key: {name: f"_asked_{at}_{name}" for name in columns[key]} for at, key in enumerate(keys)}
    listed = [
        f"{quoted(table.alias_or_name)}.{quoted(name)} AS {quoted(given)}"
        for table, key in zip(tables, keys, strict=True)
        for name, given in names[key].items()
    ]
    return AskedRows(f"{query[: first.end + 1]} {', '.join(listed)}, {query[first.end + 1 :]}", names)


def _joined(tree: exp.Expr) -> list[exp.Table]:
    """The tables that a projection joins, filtered or not; none where it is anything else."""
    from sqlglot import exp

    many = [part for part in _MANY_ROWS if part != "joins"]
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in many):
        return []
    start = tree.args.get("from_")
    found = [start.this, *(join.this for join in tree.args.get("joins") or ())] if start is not None else []
    plain = all(isinstance(table, exp.Table) and table.db and not table.args.get("joins") for table in found)
    kinds = {str(join.args.get("kind") or "").upper() for join in tree.args.get("joins") or ()}
    return found if plain and kinds <= {"", "INNER", "CROSS", "OUTER"} else []


def _looks_at_many(tree: exp.Expr) -> bool:
    from sqlglot import exp

    return any(isinstance(node, exp.AggFunc | exp.Window | exp.Unnest | exp.Explode) for node in tree.walk())
