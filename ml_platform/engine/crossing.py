"""Queries that look over rows of several partitions: what they say of one would hang on which are made with it.

A partition is made from the rows of its own partition, and of those around it that `reads_partitions` names. Several
are made by one query, so that a window, a group or a total has to keep them apart by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_platform.engine.sql import line_of

if TYPE_CHECKING:
    from sqlglot import exp


def crossings(query: exp.Query, column: str) -> list[tuple[int, str, tuple[str, ...]]]:
    """Line, text and asset keys read of each part that does not keep values of a column apart.

    >>> from ml_platform.engine.sql import parsed
    >>> crossings(parsed("SELECT month, lag(v) OVER (ORDER BY t) AS w FROM bronze.s", "g.sql"), "month")
    [(1, 'LAG(v) OVER (ORDER BY t)', ('bronze/s',))]
    >>> crossings(parsed("SELECT month, sum(v) AS v FROM bronze.s GROUP BY month", "g.sql"), "month")
    []
    """
    from sqlglot import exp

    named: dict[str, set[str]] = {}
    for cte in query.find_all(exp.CTE):
        named[cte.alias.lower()] = _reads(cte.this, named)
    found = []
    for select in query.find_all(exp.Select):
        for part in _parts(select, column.lower()):
            text = " ".join(part.sql(dialect="duckdb").split())
            found.append((line_of(part), text, tuple(sorted(_reads(select, named)))))
    return found


def _reads(node: exp.Expr, named: dict[str, set[str]]) -> set[str]:
    """Asset keys of the tables below a node, those of common table expressions among them."""
    from sqlglot import exp

    keys: set[str] = set()
    for table in node.find_all(exp.Table):
        keys |= {f"{table.db}/{table.name}"} if table.db else named.get(table.name.lower(), set())
    return keys


def _parts(select: exp.Select, column: str) -> Iterator[exp.Expr]:
    """What of a SELECT itself looks at more than one row without the column."""
    from sqlglot import exp

    for window in select.find_all(exp.Window):
        # One that goes by a name is looked at where that is given.
        own = window.find_ancestor(exp.Select) is select and not window.args.get("alias")
        if own and not _names(window.args.get("partition_by") or [], column):
            yield window
    distinct, group = select.args.get("distinct"), select.args.get("group")
    if distinct is not None and distinct.args.get("on") is not None and not _names([distinct.args["on"]], column):
        yield distinct
    if group is not None:
        by_place = group.args.get("all") or any(isinstance(key, exp.Literal) for key in group.expressions)
        if not by_place and not _names(group.expressions, column):
            yield group
    elif not _names([select.args["where"]] if select.args.get("where") else [], column):
        yield from _totals(select)


def _totals(select: exp.Select) -> Iterator[exp.Expr]:
    """The aggregates over all rows of a SELECT."""
    from sqlglot import exp

    for total in select.find_all(exp.AggFunc):
        if total.find_ancestor(exp.Window, exp.Select) is select:
            yield total


def _names(nodes: list[exp.Expr], column: str) -> bool:
    from sqlglot import exp

    return any(each.name.lower() == column for node in nodes for each in node.find_all(exp.Column))
