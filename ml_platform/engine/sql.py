"""SQL files: one query each, and the tables that it reads."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.errors import DeclarationError

if TYPE_CHECKING:
    from sqlglot import exp

# A semicolon with nothing but comments behind it, unless it stands in one.
_CLOSED = re.compile(r";(?>\s|--[^\n]*|/\*.*?\*/)*+\Z", re.DOTALL)


def tables_read(text: str, at: str) -> tuple[str, ...]:
    """The asset keys of the tables that the query reads, sorted: `silver.flights` is `silver/flights`.

    at: the file, for errors. Raises DeclarationError where the text is not exactly one query over tables that are
    named with their layer.
    """
    return tuple(sorted({_key(table, at) for table in _tables(parsed(text, at))}))


# As many as are looked at, what they read first, before they are looked at again for their columns.
@lru_cache(maxsize=256)
def parsed(text: str, at: str) -> exp.Query:
    """The one query that a file holds, not to be changed. at: the file, for errors.

    Raises DeclarationError where the text is anything else.
    """
    from sqlglot import exp

    statements = _statements(text, at)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        kinds = ", ".join(statement.key.upper() for statement in statements) or "nothing"
        raise DeclarationError(
            f"{at}:1: the file holds {kinds}, but a table is made by one query", allowed="One SELECT is"
        )
    return statements[0]


def read(path: Path) -> str:
    """The file's text without a closing semicolon, and what follows it; its lines count as they do in the file."""
    text = path.read_text().rstrip().rstrip(";")
    # The parser, which takes long to import, is asked only where the last semicolon may be one.
    return _opened(text) if _CLOSED.search(text) else text


def relation(key: str) -> str:
    """The name under which a query reads the table of an asset key.

    >>> relation("silver/flights")
    'silver.flights'
    """
    return key.replace("/", ".")


def line_of(node: exp.Expr) -> int:
    """The first line that the parser has kept for anything inside a part of a query; 1 where it has kept none."""
    return min((each.meta["line"] for each in node.walk() if "line" in each.meta), default=1)


def _opened(text: str) -> str:
    """The text up to a semicolon behind which only comments stand."""
    from sqlglot import TokenType
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.errors import TokenError

    try:
        tokens = DuckDB().tokenize(text)
    except TokenError:
        return text  # which the parser tells
    return text[: tokens[-1].start] if tokens and tokens[-1].token_type == TokenType.SEMICOLON else text


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

    local = {cte.alias_or_name.lower() for cte in query.find_all(exp.CTE)}
    tables = (table for table in query.find_all(exp.Table) if not isinstance(table.this, exp.GenerateSeries))
    return [table for table in tables if table.db or table.name.lower() not in local]


def _key(table: exp.Table, at: str) -> str:
    if not table.db or not table.name or table.catalog:
        raise DeclarationError(
            f"{at}:{line_of(table)}: {table.sql(dialect='duckdb')!r} is read, but it is no table of ours",
            allowed="A table is named with its layer, for instance silver.flights",
        )
    return f"{table.db}/{table.name}"
