"""A database: SQLite or PostgreSQL, opened by the name of the environment variable that says where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ml_platform.errors import BindingError, SourceError

_SQLITE, _POSTGRESQL = "sqlite:///", ("postgresql://", "postgres://")
_ALLOWED = "It is sqlite:///<path> or postgresql://<host>/<database>"
# As many rows as SQLite's driver looks at before it says which type a column has.
_ROWS = "65536"


@dataclass(frozen=True)
class Database:
    """One connection. cursor: of its driver. text_times: whether it holds times as texts."""

    cursor: Any
    text_times: bool

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row of a query's answer."""
        self.cursor.execute(query)
        return tuple(self.cursor.fetchone())

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns."""
        self.cursor.execute(f"SELECT * FROM {quoted(table)} LIMIT 0")
        return [column[0] for column in self.cursor.description]

    def reader(self, query: str) -> Any:
        """The rows of a query's answer, as a stream of record batches."""
        if self.text_times:
            self.cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ROWS})
        self.cursor.execute(query)
        return self.cursor.fetch_record_batch()


@contextmanager
def connected(variable: str) -> Iterator[Database]:
    """The database that an environment variable names; nothing is ever written to it.

    Raises BindingError for a variable that is unset or names none, SourceError for a database that is not there or
    refuses. Where it is, and with which password, is in no message.
    """
    where = os.environ.get(variable, "")
    if not where.startswith((_SQLITE, *_POSTGRESQL)):
        raise BindingError(
            f"{variable} is {'unset' if not where else 'no address of a database'}, but a landing reads from it",
            allowed=_ALLOWED,
            remedy=f"Set {variable} in the environment",
        )
    import adbc_driver_manager

    text_times = where.startswith(_SQLITE)
    try:
        connection = _opened(variable, where)
    except adbc_driver_manager.Error as error:
        raise _refused(variable, error.status_code.name) from None
    with connection, connection.cursor() as cursor:
        try:
            yield Database(cursor, text_times)
        except adbc_driver_manager.Error as error:
            raise _refused(variable, str(error).partition("\n")[0].replace(where, variable)) from error


def quoted(name: str) -> str:
    """A name, with its schema where it has one, as both databases read it.

    >>> quoted('shop.order')
    '"shop"."order"'
    """
    return ".".join(column_name(part) for part in name.split("."))


def column_name(name: str) -> str:
    """The name of a column, in which a dot is one.

    >>> column_name('price.net')
    '"price.net"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(value: int | str | datetime) -> str:
    """A value as both databases read it."""
    if isinstance(value, int):
        return str(value)
    text = value.isoformat() if isinstance(value, datetime) else value
    return "'" + text.replace("'", "''") + "'"


def _opened(variable: str, where: str) -> Any:
    if where.startswith(_SQLITE):
        import adbc_driver_sqlite.dbapi as sqlite

        path = where.removeprefix(_SQLITE)
        # The driver would make an empty one.
        if not Path(path).is_file():
            raise _refused(variable, "there is no such file")
        return sqlite.connect(path)
    try:
        import adbc_driver_postgresql.dbapi as postgresql  # type: ignore[import-untyped]
    except ImportError as error:
        raise BindingError(
            f"{variable} names a PostgreSQL database, but its driver is not installed",
            remedy="Install the extra postgresql",
        ) from error
    return postgresql.connect(where)


def _refused(variable: str, why: str) -> SourceError:
    return SourceError(
        f"the database that {variable} names does not answer, but a landing reads from it: {why}",
        remedy="Mend the database, or the table and watermark in the landing's defs.yaml; then run again",
    )
