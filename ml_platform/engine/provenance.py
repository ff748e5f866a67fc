"""Provenance: the place in a landed file that a row came from, asked of a query that does not select it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

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
    from sqlglot import exp

    tree = sqlglot.parse_one(query, read="duckdb")
    source = _only_source(tree)
    if source is None or f"{source.db}.{source.name}" not in carrying:
        return None
    if any(isinstance(node, exp.AggFunc | exp.Window | exp.Unnest | exp.Explode) for node in tree.walk()):
        return None
    first, second = sqlglot.tokenize(query, read="duckdb")[:2]
    if first.text.upper() != "SELECT" or second.text.upper() == "ALL":
        return None
    name = exp.to_identifier(source.alias_or_name, quoted=True).sql("duckdb")
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
