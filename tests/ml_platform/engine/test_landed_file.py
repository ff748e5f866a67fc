from __future__ import annotations

import bz2
import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem

from ml_platform.engine.files import filesystem
from ml_platform.engine.ingest import Source
from ml_platform.engine.landed import rows_of
from ml_platform.engine.landed_file import Watched, identified
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

MIB = 2**20
SOURCE = Source("bronze/numbers", "landing/numbers", "*", {"n": "int64"})


def parquet(numbers: range) -> bytes:
    written = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": list(numbers)}), written)
    return bytes(written.getvalue())


def csv(numbers: range) -> bytes:
    return "\n".join(["n", *map(str, numbers), ""]).encode()


def json_lines(numbers: range) -> bytes:
    return "".join(f'{{"n": {number}}}\n' for number in numbers).encode()


FORMATS: dict[str, Callable[[range], bytes]] = {
    "n.csv": csv,
    "n.csv.gz": lambda numbers: gzip.compress(csv(numbers), mtime=0),
    "n.jsonl": json_lines,
    "n.jsonl.bz2": lambda numbers: bz2.compress(json_lines(numbers)),
    "n.parquet": parquet,
}


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return filesystem(Location("landing/numbers", str(tmp_path)))


def numbers(path: str, files: FileSystem, room_bytes: int, between: Callable[[], object]) -> list[int]:
    """The rows of a file to which something happens once it is identified."""
    file = identified(path, files, room_bytes)
    between()
    return [number for part in rows_of(SOURCE, file, files, [""]) for number in part.rows["n"].to_pylist()]


def test_a_file_is_identified_by_its_bytes_a_part_at_a_time(tmp_path: Path, files: FileSystem) -> None:
    content = b"0123456789" * 250_000
    (tmp_path / "large.csv").write_bytes(content)
    found = identified("large.csv", files)
    assert (found.digest, found.size_bytes) == (hashlib.sha256(content).hexdigest()[:32], 2_500_000)
    assert found.content is None


def test_a_file_is_held_where_there_is_room_for_all_of_it(tmp_path: Path, files: FileSystem) -> None:
    content = b"0123456789" * 250_000
    (tmp_path / "large.csv").write_bytes(content)
    assert identified("large.csv", files, 2_499_999).content is None
    held = identified("large.csv", files, 2_500_000)
    assert held.content is not None
    assert held.content.to_pybytes() == content
    assert held == identified("large.csv", files)


def test_a_file_that_vanished_is_named(files: FileSystem) -> None:
    with pytest.raises(SourceError, match=r"gone\.csv was listed, but it is gone"):
        identified("gone.csv", files)


@pytest.mark.parametrize("path", FORMATS)
def test_a_file_that_is_held_is_not_read_again(tmp_path: Path, files: FileSystem, path: str) -> None:
    (tmp_path / path).write_bytes(FORMATS[path](range(9)))
    assert numbers(path, files, MIB, (tmp_path / path).unlink) == list(range(9))


@pytest.mark.parametrize("path", FORMATS)
def test_rows_of_other_bytes_than_were_identified_are_refused(tmp_path: Path, files: FileSystem, path: str) -> None:
    (tmp_path / path).write_bytes(FORMATS[path](range(9)))
    assert numbers(path, files, 0, lambda: None) == list(range(9))
    with pytest.raises(SourceError, match=rf"{path} was written to while it was read, but a landed file never"):
        numbers(path, files, 0, lambda: (tmp_path / path).write_bytes(FORMATS[path](range(1, 10))))


def test_other_bytes_that_give_the_same_rows_are_refused_too(tmp_path: Path, files: FileSystem) -> None:
    (tmp_path / "n.csv.gz").write_bytes(gzip.compress(csv(range(900)), 9, mtime=0))
    with pytest.raises(SourceError, match=r"n\.csv\.gz was written to while it was read"):
        numbers("n.csv.gz", files, 0, lambda: (tmp_path / "n.csv.gz").write_bytes(gzip.compress(csv(range(900)), 1)))


def test_bytes_that_nobody_read_count_as_well(tmp_path: Path, files: FileSystem) -> None:
    (tmp_path / "n.csv").write_bytes(csv(range(9)))
    file = identified("n.csv", files)
    with Watched(file, files) as watched, watched.open_input_stream("n.csv") as stream:
        stream.read(4)
        watched.require_same()
    (tmp_path / "n.csv").write_bytes(csv(range(9)) + b"9\n")
    with Watched(file, files) as watched, watched.open_input_stream("n.csv") as stream:
        stream.read(4)
        with pytest.raises(SourceError, match="was written to"):
            watched.require_same()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(SourceError, match=r"a\.csv was listed, but it cannot be read: Cannot open for reading"):
        identified("a.csv", filesystem(Location("landing/numbers", str(tmp_path))))
