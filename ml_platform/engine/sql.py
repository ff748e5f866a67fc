"""SQL files: one query each, and the tables that it reads."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.errors import DeclarationError

if TYPE_CHECKING:
    from sqlglot import exp


@lru_cache(maxsize=4096)
def tables_read(text: str, at: str) -> tuple[str, ...]:
    """The asset keys of the tables that the query reads, sorted: `silver.flights` is `silver/flights`.

    at: the file, for errors. Raises DeclarationError where the text is not exactly one query over tables that are
    named with their layer.
    """
    from sqlglot import exp

    statements = _statements(text, at)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        kinds = ", ".join(statement.key.upper() for statement in statements) or "nothing"
        raise DeclarationError(
            f"{at}:1: the file holds {kinds}, but a table is made by one query", allowed="One SELECT is"
        )
    return tuple(sorted({_key(table, at) for table in _tables(statements[0])}))


def read(path: Path) -> str:
    """The file's text without a closing semicolon."""
    return path.read_text().strip().rstrip(";")


def relation(key: str) -> str:
    """The name under which a query reads the table of an asset key.

    >>> relation("silver/flights")
    'silver.flights'
    """
    return key.replace("/", ".")


def _statements(text: str, at: str) -> list[exp.Expr]:
    import sqlglot
    from sqlglot.errors import ParseError, TokenError

    try:
        return [statement for statement in sqlglot.parse(text, read="duckdb") if statement is not None]
    except ParseError as error:
        first = error.errors[0]
        raise DeclarationError(
            f"{at}:{first['line']}: {first['highlight']!r} is not SQL, but the file has to be one query: "
            f"{first['description']}"
        ) from error
    except TokenError as error:
        raise DeclarationError(
            f"{at}:1: the file is not SQL, but it has to be one query: {error}", remedy="Close every quote and comment"
        ) from error


def _tables(query: exp.Expr) -> list[exp.Table]:
    from sqlglot import exp

    local = {cte.alias_or_name for cte in query.find_all(exp.CTE)}
    return [table for table in query.find_all(exp.Table) if table.db or table.name not in local]


def _key(table: exp.Table, at: str) -> str:
    if not table.db or not table.name or table.catalog:
        raise DeclarationError(
            f"{at}:{_line(table)}: {table.sql(dialect='duckdb')!r} is read, but it is no table of ours",
            allowed="A table is named with its layer, for instance silver.flights",
        )
    return f"{table.db}/{table.name}"


def _line(table: exp.Table) -> int:
    """The first line that the parser has kept for anything inside the table's name; 1 where it has kept none."""
    return min((node.meta["line"] for node in table.walk() if "line" in node.meta), default=1)
