from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ml_platform.engine.file_cache import FileCache
from ml_platform.errors import ServiceError
from ml_platform.records.table import DataFile, Location

MEBIBYTE_IN_GIB = 1 / 1024


@pytest.fixture
def table(tmp_path: Path) -> Location:
    return Location("silver/flights", f"file://{tmp_path / 'store'}")


def stored(table: Location, path: str, size: int = 10) -> DataFile:
    file = Path(table.uri.removeprefix("file://")) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return DataFile(path, size, 1, {})


def copies(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"lock"}


def test_a_file_is_copied_once_under_its_own_path(table: Location, tmp_path: Path) -> None:
    file = stored(table, "month=2013-01/a.parquet")
    cache = FileCache(str(tmp_path / "cache"), 1)
    with cache.reading():
        copy = cache.local(table, [file]) / file.path
        assert copy.read_bytes() == b"x" * 10
        (Path(table.uri.removeprefix("file://")) / file.path).unlink()
        assert cache.local(table, [file]) / file.path == copy


def test_files_of_one_name_in_two_tables_are_two(table: Location, tmp_path: Path) -> None:
    other = Location("silver/planes", f"file://{tmp_path / 'other'}")
    cache = FileCache(str(tmp_path / "cache"), 1)
    with cache.reading():
        first = cache.local(table, [stored(table, "a.parquet", 10)])
        second = cache.local(other, [stored(other, "a.parquet", 20)])
        sizes = [(folder / "a.parquet").stat().st_size for folder in (first, second)]
    assert sizes == [10, 20]


def test_the_least_recently_used_go_once_nobody_reads(table: Location, tmp_path: Path) -> None:
    # given three files of 400 KiB that were used in the order a, b, c and then a again
    files = {name: stored(table, f"{name}.parquet", 400 * 1024) for name in "abc"}
    cache = FileCache(str(tmp_path / "cache"), MEBIBYTE_IN_GIB)
    with cache.reading():
        home = cache.local(table, list(files.values()))
        for age, name in enumerate("cba"):
            os.utime(home / f"{name}.parquet", (1_000_000 - age, 1_000_000 - age))
        cache.local(table, [files["a"]])
        assert copies(tmp_path / "cache") == {"a.parquet", "b.parquet", "c.parquet"}
    # then a mebibyte holds the two that were used last
    assert copies(tmp_path / "cache") == {"a.parquet", "c.parquet"}


def test_nothing_goes_while_another_reads(table: Location, tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    one, other = FileCache(folder, 0), FileCache(folder, 0)
    with one.reading():
        home = one.local(table, [stored(table, "a.parquet")])
        with other.reading():
            other.local(table, [stored(table, "b.parquet")])
        assert (home / "a.parquet").exists()
    assert copies(tmp_path / "cache") == set()


def test_what_a_killed_process_left_goes(table: Location, tmp_path: Path) -> None:
    cache = FileCache(str(tmp_path / "cache"), 1)
    with cache.reading():
        home = cache.local(table, [stored(table, "a.parquet")])
        (home / "b.parquet.0123.writing").write_bytes(b"x")
    assert copies(tmp_path / "cache") == {"a.parquet"}


def test_many_at_once_get_whole_files(table: Location, tmp_path: Path) -> None:
    files = [stored(table, f"{number}.parquet", 100_000) for number in range(20)]

    def read(_: int) -> list[int]:
        cache = FileCache(str(tmp_path / "cache"), 0)
        with cache.reading():
            home = cache.local(table, files)
            return [(home / file.path).stat().st_size for file in files]

    with ThreadPoolExecutor(6) as pool:
        assert set(map(tuple, pool.map(read, range(12)))) == {(100_000,) * 20}


def test_a_file_that_is_gone_or_of_another_size_is_told(table: Location, tmp_path: Path) -> None:
    cut = DataFile(stored(table, "a.parquet", 9).path, 10, 1, {})
    cache = FileCache(str(tmp_path / "cache"), 1)
    with cache.reading():
        with pytest.raises(ServiceError, match=r"a\.parquet of the table silver/flights has 9 bytes, .* says 10"):
            cache.local(table, [cut])
        with pytest.raises(ServiceError, match=r"b\.parquet of the table silver/flights is gone"):
            cache.local(table, [DataFile("b.parquet", 10, 1, {})])
    assert copies(tmp_path / "cache") == set()
