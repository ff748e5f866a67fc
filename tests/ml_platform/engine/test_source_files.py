from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine.files import filesystem
from ml_platform.engine.source_files import format_of, kinds, parts, read_csv
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

COLUMNS = {"n": "int32", "text": "string"}
ROWS = [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]
TEXTS = {"csv": b"n,text\n1,a\n2,b\n", "jsonl": b'{"n":1,"text":"a"}\n{"n":2,"text":"b"}\n'}
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


def read(folder: Path, path: str, declared: str | None = None) -> list[dict[str, object]]:
    files = filesystem(Location("landing/x", str(folder)))
    return [row for part in parts(files, path, COLUMNS, declared) for row in part.rows.to_pylist()]


@pytest.mark.parametrize("ending", COMPRESSED)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_compressed_file_is_read_as_the_plain_one(tmp_path: Path, kind: str, ending: str) -> None:
    path = f"day.{kind}{ending}"
    (tmp_path / path).write_bytes(COMPRESSED[ending](TEXTS[kind]))
    assert read(tmp_path, path) == ROWS


@pytest.mark.parametrize("ending", [ending for ending in COMPRESSED if ending])
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("damage", ["cut off", "not compressed", "followed by something else"])
def test_a_damaged_compressed_file_is_refused_by_name(tmp_path: Path, kind: str, ending: str, damage: str) -> None:
    whole = COMPRESSED[ending](TEXTS[kind] * (1 if kind == "csv" else 1000))
    content = {"cut off": whole[:-5], "not compressed": TEXTS[kind], "followed by something else": whole + b"x" * 20}
    (tmp_path / f"day.{kind}{ending}").write_bytes(content[damage])
    with pytest.raises(SourceError, match=rf"day\.{kind}\{ending} is no whole (gzip|bz2|zstd) file"):
        read(tmp_path, f"day.{kind}{ending}")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a.csv", "csv"), ("a.csv.zst", "csv"), ("b.ndjson", "jsonl"), ("b.json.bz2", "jsonl"), ("c.parquet", "parquet")],
)
def test_the_name_says_the_format_unless_it_is_declared(path: str, kind: str) -> None:
    assert format_of(path) == kind
    assert format_of(path, "csv") == "csv"


def test_a_declared_format_is_read_whatever_the_name_says(tmp_path: Path) -> None:
    (tmp_path / "day.txt").write_bytes(TEXTS["csv"])
    assert read(tmp_path, "day.txt", "csv") == ROWS
    with pytest.raises(SourceError, match=r"day\.txt has a name that says no format"):
        read(tmp_path, "day.txt")


@pytest.mark.parametrize("path", ["day.csv", "day.jsonl", "day.parquet"])
def test_a_file_that_is_gone_or_empty_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match=rf"{path} was listed, but it is gone"):
        read(tmp_path, path)
    (tmp_path / path).write_bytes(b"")
    with pytest.raises(SourceError, match=rf"{path} is "):
        read(tmp_path, path)


def test_a_strict_source_names_the_row_of_a_fault(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_text('{"n":1}\n{"n":1.7}\n')
    with pytest.raises(SourceError, match=r"day\.jsonl cannot be read as declared: Row #2: n is 1\.7"):
        read(tmp_path, "day.jsonl")


def test_columns_and_types_are_read_from_a_file(tmp_path: Path) -> None:
    files = filesystem(Location("landing/x", str(tmp_path)))
    (tmp_path / "day.csv").write_bytes(TEXTS["csv"])
    (tmp_path / "day.jsonl").write_bytes(TEXTS["jsonl"])
    pq.write_table(pa.table({"n": [1], "text": ["a"], "deep": [[1]]}), tmp_path / "day.parquet")
    assert kinds(files, "day.csv") == {"n": "string", "text": "string"}
    assert kinds(files, "day.jsonl") == {"n": "int64", "text": "string"}
    assert kinds(files, "day.parquet") == {"n": "int64", "text": "string", "deep": None}


def test_the_whole_of_a_file_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_bytes(TEXTS["csv"])
    assert read_csv(filesystem(Location("landing/x", str(tmp_path))), "day.csv", COLUMNS).to_pylist() == ROWS
