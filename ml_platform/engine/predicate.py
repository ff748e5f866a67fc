"""Predicates: what a declaration may say about a row in SQL, and the columns that it can say it of."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ml_platform.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from sqlglot import exp

_OUTSIDE = {
    "current_setting",
    "currval",
    "get_current_timestamp",
    "getenv",
    "getvariable",
    "glob",
    "nextval",
    "now",
    "read_blob",
    "read_text",
    "transaction_timestamp",
}


def require_predicate(text: str, at: str, columns: Collection[str] | None) -> None:
    """Returns when the text is one expression over the row's own columns; else raises DeclarationError.

    at: where it stands and as what, for errors, as `defs.yaml:7: sql`. columns: of the row; None where they are not
    known before it is made.
    A statement is refused, and so is what looks beyond the row: a subquery, an aggregate, a window, a clock.
    """
    from sqlglot import exp

    tree = _expression(text, at)
    beyond = (exp.Query, exp.AggFunc, exp.Window, exp.Star, exp.Alias, exp.Table, exp.Placeholder, exp.Rand, exp.Uuid)
    clocks = (exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp)
    for node in tree.walk():
        outside = isinstance(node, exp.Anonymous) and node.name.lower() in _OUTSIDE
        if outside or isinstance(node, (*beyond, *clocks)):
            raise DeclarationError(
                f"{at} is {text!r}, but {node.sql('duckdb')!r} in it looks beyond the row",
                allowed="One expression over the row's own columns is",
                remedy="Compute it in the table's query, as a column",
            )
    for column in tree.find_all(exp.Column):
        _require_own(column, text, at, columns)


def query_columns(query: str) -> tuple[str, ...] | None:
    """The columns of a query's rows by name; None where the text alone does not say them."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(query, read="duckdb")
    except SqlglotError:
        return None  # whoever reads what it is made from says what is wrong with it
    if not isinstance(tree, exp.Query):
        return None
    selects = tree.selects
    unnamed = any(select.is_star or not select.alias_or_name or select.find(exp.Columns) for select in selects)
    return None if unnamed or not selects else tuple(select.alias_or_name for select in selects)


def require_pattern(pattern: str, at: str) -> None:
    """Returns when the pattern is one in RE2's syntax; else raises DeclarationError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise DeclarationError(
            f"{at}: pattern is {pattern!r}, but that is no pattern in RE2's syntax: {error}",
            allowed="A pattern is, for instance, [A-Z]{2}[0-9]*",
        ) from error


def _expression(text: str, at: str) -> exp.Expr:
    """What stands for itself between two parentheses."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(f"SELECT ({text}\n)", read="duckdb")
    except SqlglotError as error:
        raise _no_expression(text, at) from error
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Select) or len(tree.selects) != 1 or any(tree.args.get(p) for p in ("from_", "where")):
        raise _no_expression(text, at)
    only = tree.selects[0]
    if not isinstance(only, exp.Paren):
        raise _no_expression(text, at)
    inner: exp.Expr = only.this
    return inner


def _no_expression(text: str, at: str) -> DeclarationError:
    return DeclarationError(
        f"{at} is {text!r}, but that is not one expression",
        allowed="One is, for instance, arrival >= departure OR cancelled",
    )


def _require_own(column: exp.Column, text: str, at: str, columns: Collection[str] | None) -> None:
    if column.table:
        raise DeclarationError(
            f"{at} is {text!r}, but {column.sql('duckdb')!r} in it names a table",
            allowed="A predicate is about the row's own columns, by their names alone",
            remedy="Write the column without its table; a field of a struct is column['field']",
        )
    if columns is not None and column.name.lower() not in {name.lower() for name in columns}:
        raise DeclarationError(
            f"{at} is {text!r}, but the table has no column {column.name}",
            allowed=nearest(column.name, columns),
        )
