"""The watermark of a table: the column that says in which order its rows come, and how far they have come."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ml_platform.engine.database import Database, literal, quoted
from ml_platform.errors import SourceError

_DIGIT = re.compile(r"\d")
# SQLite's times; with offsets they would not be in the order of their texts.
_TEXT_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?")
# By how much the clocks of others may be ahead; times without a zone are, by up to fourteen hours.
_AHEAD = timedelta(days=1)


@dataclass(frozen=True)
class Table:
    """A table of a database.

    connection: name of the environment variable that says where the database is; name: with its schema, where it has
    one. watermark: the column by which its rows are ordered as they come; by: whether that is a key, of which no two
    rows have the same, or a time.
    """

    connection: str
    name: str
    watermark: str
    by: Literal["key", "time"]


def reached(table: Table, ends: Sequence[str], database: Database) -> Any:
    """The watermark that was landed up to; None where nothing was."""
    try:
        read: list[Any] = [int(end) if table.by == "key" else datetime.fromisoformat(end) for end in ends]
    except ValueError as error:
        raise SourceError(
            f"{table.name} has landed files that say no {table.by} to go on from, but each is named by its range",
            remedy="Give the extraction a landing of its own, or mend by in its defs.yaml",
        ) from error
    if len({_form(one) for one in (ends if database.text_times else read)}) > 1 and table.by == "time":
        raise SourceError(
            f"{table.name} has landed files whose times are written in several forms, but they have one order in one",
            remedy="Give the extraction a landing of its own",
        )
    return max(ends if table.by == "time" and database.text_times else read, default=None)


def newest(table: Table, database: Database) -> Any:
    """The greatest watermark; None for a table without rows. Raises SourceError for one that rows would wait behind."""
    column, name = quoted(table.watermark), quoted(table.name)
    try:
        _, high, nulls = database.row(f"SELECT min({column}), max({column}), count(*) - count({column}) FROM {name}")
    except (OverflowError, ValueError, NotImplementedError) as error:
        # The first too: it would land, and no source would take it.
        raise _impossible(table, "one that cannot be read") from error
    if nulls:
        raise SourceError(
            f"{table.name} has {nulls} rows whose {table.watermark} is NULL, but they would never come",
            remedy="Give them one, or declare another watermark",
        )
    if high is None:
        return None
    if not _ordered(high, table, database):
        raise _unordered(table)
    if table.by == "time":
        _require_no_sentinel(high, table)
    return high


def require_onward(low: Any, high: Any, table: Table) -> None:
    """Returns where the table has come as far as what landed of it. A table without rows has nothing to say of that.

    Raises SourceError for times that are written in another form than those that landed: these have no order.
    """
    if low is not None and high is not None and _form(low) != _form(high):
        raise SourceError(
            f"{table.name} has landed up to {table.watermark} {written(low)}, but its newest is {written(high)}, which "
            "is written in another form: rows would be lost or come twice",
            remedy="Write its times as they were, for instance in a view, or give the extraction a landing of its own",
        )
    if low is not None and high is not None and high < low:
        raise SourceError(
            f"{table.name} has landed up to {table.watermark} {written(low)}, but its newest is {written(high)}: was "
            "it made anew, or were rows removed?",
            allowed="New rows come behind those that have landed",
            remedy="Extract a table that was made anew into a landing of its own; else let new rows have a greater "
            f"{table.watermark}",
        )


def written(watermark: Any) -> str:
    """A watermark as the name of a file has it."""
    return watermark.isoformat() if isinstance(watermark, datetime) else str(watermark)


def _form(watermark: Any) -> str:
    """How a watermark is written, whatever it is: two of one form are in the order of their moments."""
    if isinstance(watermark, datetime):
        return "a time without a zone" if watermark.tzinfo is None else "a time"
    return _DIGIT.sub("0", watermark) if isinstance(watermark, str) else "a key"


def _ordered(high: Any, table: Table, database: Database) -> bool:
    """Whether all watermarks are in an order that one may go by; texts are where they are written as the newest is."""
    if table.by == "key" or not database.text_times:
        return isinstance(high, int if table.by == "key" else datetime)
    if not isinstance(high, str) or not _TEXT_TIME.fullmatch(high):
        return False
    form = literal(_DIGIT.sub("[0-9]", high))
    others = f"SELECT count(*) FROM {quoted(table.name)} WHERE {quoted(table.watermark)} NOT GLOB {form}"
    return database.row(others) == (0,)


def _unordered(table: Table) -> SourceError:
    return SourceError(
        f"{table.name} has the watermark {table.watermark}, but its values have no order to go by as a {table.by}",
        allowed="A key is an integer, a time a timestamp; SQLite's are texts of one format, without offsets",
        remedy="Declare another watermark, or a view of the table that has one",
    )


def _impossible(table: Table, shown: str) -> SourceError:
    return SourceError(
        f"{table.name} has among its {table.watermark} {shown}, but that is no {table.by} to go on from",
        allowed="Days are those of the calendar in the years 1 to 9999, minutes have seconds up to 59",
        remedy="Mend the row, or declare a view of the table without it, or another watermark",
    )


def _require_no_sentinel(high: Any, table: Table) -> None:
    try:
        moment = datetime.fromisoformat(high) if isinstance(high, str) else high
    except ValueError as error:
        raise _impossible(table, high) from error
    if (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > datetime.now(UTC) + _AHEAD:
        raise SourceError(
            f"{table.name} has {written(high)} as its newest {table.watermark}, but that has not come yet, and rows "
            "until then would never come",
            allowed="A time may be a day ahead of the clock",
            remedy="Mend the row, or declare a view of the table without it",
        )
