"""A feature store in one SQLite file."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.feature import FeatureRow, FeatureView, LookUp, PublishedView

if TYPE_CHECKING:
    import pyarrow as pa

    from ml_platform.roles.feature_store import FeatureStore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FOREVER = -(2**63)
_NAME = re.compile(r"(?!sqlite_)[a-z][a-z0-9_]*")
_WAIT_SECONDS = 60.0


class EmbeddedFeatureStore:
    """Views as tables of one file, which readers of any process may use while a view is being replaced.

    path: the file; it and its folder are made by the first publication.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._local = threading.local()

    def publish(self, view: FeatureView, rows: Iterable[pa.RecordBatch], keep_from: datetime, version: str) -> int:
        """As the role promises. Features are numbers, texts or NULL; NaN is kept as NULL."""
        _columns(view)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect("rwc")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            with _transaction(connection, "IMMEDIATE"):
                count = _replace(connection, view, rows, _microseconds(keep_from))
                entry = (view.name, version, count, json.dumps(_columns(view)))
                connection.execute("INSERT OR REPLACE INTO __views VALUES (?, ?, ?, ?)", entry)
            # The log has grown to the size of the view; what readers still need of it stays.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def revise(
        self,
        view: FeatureView,
        gone: Iterable[pa.RecordBatch],
        come: Iterable[pa.RecordBatch],
        keep_from: datetime,
        version: str,
    ) -> int:
        """As the role promises."""
        if self.published(view) is None:
            raise _never_published(view)
        with closing(self._connect("rw")) as connection:
            with _transaction(connection, "IMMEDIATE"):
                kept = _microseconds(keep_from)
                connection.execute(f'DELETE FROM "{view.name}" WHERE "{view.event_time}" < ?', (kept,))
                _remove(connection, view, gone)
                _insert(connection, view, come, kept)
                (count,) = connection.execute(f'SELECT count(*) FROM "{view.name}"').fetchone()
                entry = (version, count, view.name)
                connection.execute("UPDATE __views SET version = ?, row_count = ? WHERE name = ?", entry)
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return int(count)

    def scrub(self) -> None:
        """Nothing is left in the file of rows that were replaced or removed."""
        if not self._path.exists():
            return
        with closing(self._connect("rw")) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def look_up(self, question: LookUp) -> Sequence[FeatureRow]:
        """As the role promises; all answers are of one publication."""
        view = question.view
        query, ttl = _look_up_query(view), round(view.ttl_hours * 3_600_000_000)
        connection = self._reader(view)
        with _transaction(connection, "DEFERRED"):
            if _published(connection, view) is None:
                raise _never_published(view)
            answers = []
            for key, moment in zip(question.keys, question.at, strict=True):
                at = _microseconds(moment)
                answers.append(connection.execute(query, (*key, at - ttl, at, at)).fetchone())
        return [_feature_row(view, answer) for answer in answers]

    def published(self, view: FeatureView) -> PublishedView | None:
        """As the role promises."""
        if not self._path.exists():
            return None
        connection = self._reader(view)
        with _transaction(connection, "DEFERRED"):
            return _published(connection, view)

    def _reader(self, view: FeatureView) -> sqlite3.Connection:
        """This thread's own connection; it sees every publication that was finished before a transaction begins."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if not self._path.exists():
                raise _never_published(view)
            connection = self._local.connection = self._connect("ro")
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_WAIT_SECONDS,
            check_same_thread=False,  # a reader is closed by whoever collects it
            factory=_Connection,
        )


class _Connection(sqlite3.Connection):
    """A connection that closes itself when its thread or its store is gone."""

    def __del__(self) -> None:
        self.close()


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@lru_cache
def _columns(view: FeatureView) -> tuple[str, ...]:
    """The columns of the view's table, in order. Raises ServiceError for a name that SQL could misread."""
    columns = (*view.entity, view.event_time, view.known_at, *view.features)
    for name in (view.name, *columns):
        if not _NAME.fullmatch(name):
            raise ServiceError(
                f"feature view {view.name!r} has the name {name!r}, but its table and columns are named so",
                allowed="A name is lower-case letters, digits and _, opens with a letter and not with sqlite_",
                remedy="Rename it in the view's declaration",
            )
    if repeated := {name for name in columns if columns.count(name) > 1}:
        raise ServiceError(
            f"feature view {view.name} has {', '.join(sorted(repeated))} twice, but a column has one meaning",
            remedy="Leave it out of either its entity, its times or its features",
        )
    return columns


def _replace(connection: sqlite3.Connection, view: FeatureView, rows: Iterable[pa.RecordBatch], keep_from: int) -> int:
    """How many rows the view's new table has; columns carry no type, so that values come back as they were given."""
    columns = _columns(view)
    times = (view.event_time, view.known_at)
    declared = ", ".join(f'"{name}" NOT NULL' if name in times else f'"{name}"' for name in columns)
    connection.execute("CREATE TABLE IF NOT EXISTS __views (name TEXT PRIMARY KEY, version, row_count, columns)")
    connection.execute(f'DROP TABLE IF EXISTS "{view.name}"')
    connection.execute(f'CREATE TABLE "{view.name}" ({declared})')
    count = _insert(connection, view, rows, keep_from)
    key = ", ".join(f'"{name}"' for name in view.entity)
    connection.execute(
        f'CREATE INDEX "__as_of_{view.name}" ON "{view.name}" ({key}, "{view.event_time}" DESC, "{view.known_at}" DESC)'
    )
    return count


def _insert(connection: sqlite3.Connection, view: FeatureView, rows: Iterable[pa.RecordBatch], keep_from: int) -> int:
    """How many rows were added to the view's table."""
    insert = f'INSERT INTO "{view.name}" VALUES ({", ".join("?" * len(_columns(view)))})'
    count = 0
    try:
        for batch in rows:
            count += connection.executemany(insert, _values(view, batch, keep_from)).rowcount
    except (sqlite3.IntegrityError, OverflowError) as error:
        raise ServiceError(
            f"feature view {view.name} has a value that cannot be kept ({error}), but nothing may be left out",
            allowed="Every row has both times, and a whole number fits 64 signed bits",
            remedy="Mend the view's query; what was published before still stands",
        ) from error
    return count


def _remove(connection: sqlite3.Connection, view: FeatureView, rows: Iterable[pa.RecordBatch]) -> None:
    """No row stands in the view's table under the name of one of these."""
    named = (*view.entity, view.event_time, view.known_at)
    # IS finds a key without a value, too.
    delete = f'DELETE FROM "{view.name}" WHERE ' + " AND ".join(f'"{name}" IS ?' for name in named)
    for batch in rows:
        connection.executemany(delete, (row[: len(named)] for row in _values(view, batch, _FOREVER)))


def _values(view: FeatureView, batch: pa.RecordBatch, keep_from: int) -> Iterable[tuple[object, ...]]:
    """The batch's rows as SQLite keeps them: both times in microseconds since 1970 UTC, the rest as Python values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = (view.event_time, view.known_at)
    arrays = {}
    for name in _columns(view):
        if name not in batch.schema.names:
            raise ServiceError(
                f"feature view {view.name} has no column {name!r}, but it declares it",
                allowed=f"Its rows have {', '.join(batch.schema.names)}",
            )
        array = batch.column(name)
        _check_type(view, name, array.type, name in times)
        arrays[name] = array.cast(pa.timestamp("us", "UTC")).cast(pa.int64()) if name in times else array
    # A row without an event time is kept here, so that the table refuses it.
    kept = pc.fill_null(pc.greater_equal(arrays[view.event_time], keep_from), True)
    return zip(*(array.filter(kept).to_pylist() for array in arrays.values()), strict=True)


def _check_type(view: FeatureView, name: str, kind: Any, is_time: bool) -> None:
    """Returns for a type that is answered exactly as it was published; else raises ServiceError."""
    import pyarrow.types as pt

    if is_time:
        fits = pt.is_timestamp(kind) and kind.tz is not None
    else:
        value = kind.value_type if pt.is_dictionary(kind) else kind
        known = (pt.is_integer, pt.is_floating, pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_null)
        fits = any(check(value) for check in known)
    if not fits:
        raise ServiceError(
            f"{name} of feature view {view.name} is of type {kind}, but a look-up could not answer it as it is",
            allowed="Features and keys are numbers or texts; both times are timestamps with a time zone",
            remedy="Cast it in the view's query",
        )


@lru_cache
def _look_up_query(view: FeatureView) -> str:
    features = "".join(f', "{name}"' for name in view.features)
    key = " AND ".join(f'"{name}" = ?' for name in view.entity)
    return (
        f'SELECT "{view.event_time}", "{view.known_at}"{features} FROM "{view.name}" '
        f'WHERE {key} AND "{view.event_time}" BETWEEN ? AND ? AND "{view.known_at}" <= ? '
        f'ORDER BY "{view.event_time}" DESC, "{view.known_at}" DESC LIMIT 1'
    )


def _published(connection: sqlite3.Connection, view: FeatureView) -> PublishedView | None:
    """What stands of the view as it is declared; None where nothing was published, or other columns were."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = '__views'").fetchone() is None:
        return None
    found = connection.execute(
        "SELECT version, row_count, columns FROM __views WHERE name = ?", (view.name,)
    ).fetchone()
    if found is None:
        return None
    version, count, columns = found
    return PublishedView(version, count) if columns == json.dumps(_columns(view)) else None


def _never_published(view: FeatureView) -> NotFoundError:
    return NotFoundError(
        f"feature view {view.name} with {', '.join(view.features)} is not in the online store, but a look-up needs it",
        remedy=f"Publish it: materialize the asset of {view.name}",
    )


def _feature_row(view: FeatureView, answer: tuple[Any, ...] | None) -> FeatureRow:
    if answer is None:
        return FeatureRow(dict.fromkeys(view.features))
    event_time, known_at, *values = answer
    return FeatureRow(dict(zip(view.features, values, strict=True)), _moment(event_time), _moment(known_at))


def _microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC, exactly; a moment without a time zone is refused by the subtraction.

    >>> _microseconds(datetime(1970, 1, 1, 1, 0, 0, 5, tzinfo=UTC))
    3600000005
    """
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


if TYPE_CHECKING:
    _: type[FeatureStore] = EmbeddedFeatureStore
