"""SQL files: one query each, and the tables that it reads."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ml_platform.errors import DeclarationError


@lru_cache(maxsize=4096)
def tables_read(text: str, at: str) -> tuple[str, ...]:
    """The asset keys of the tables that the query reads, sorted: `silver.flights` is `silver/flights`.

    at: the file, for errors. Raises DeclarationError where the text is not exactly one query over tables that are
    named with their layer.
    """
    import sqlglot
    from sqlglot import exp

    try:
        statements = [statement for statement in sqlglot.parse(text, read="duckdb") if statement is not None]
    except sqlglot.ParseError as error:
        first = error.errors[0]
        raise DeclarationError(
            f"{at}:{first['line']}: {first['highlight']!r} is not SQL, but the file has to be one query: "
            f"{first['description']}"
        ) from error
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


def _tables(query):  # type: ignore[no-untyped-def]
    from sqlglot import exp

    local = {cte.alias_or_name for cte in query.find_all(exp.CTE)}
    return [table for table in query.find_all(exp.Table) if table.db or table.name not in local]


def _key(table, at: str) -> str:  # type: ignore[no-untyped-def]
    if not table.db or not table.name or table.catalog:
        raise DeclarationError(
            f"{at}: {table.sql(dialect='duckdb')!r} is read, but it is no table of ours",
            allowed="A table is named with its layer, for instance silver.flights",
        )
    return f"{table.db}/{table.name}"
