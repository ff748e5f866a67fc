from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine import delta
from ml_platform.engine.ingest import Source, ingest
from ml_platform.engine.landed_erasure import erase_landed
from ml_platform.engine.landing import land
from ml_platform.errors import DeclarationError
from resources.embedded.lakehouse import EmbeddedLakehouse

NOTES = Source("bronze/notes", "landing/notes", "*", {"who": "string", "text": "string"})
ROWS = [("anna", 'said "yes"\nand went'), ("bert", "one, two"), ("carl", "said\nno")]


def csv(rows: list[tuple[str, str]], end: str = "\n") -> bytes:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in rows]
    return end.join(["who,text", *quoted, ""]).encode()


def jsonl(rows: list[tuple[str, str]]) -> bytes:
    return b"\n\n".join(json.dumps(dict(zip(NOTES.columns, row, strict=True))).encode() for row in rows) + b"\n"


def parquet(rows: list[tuple[str, str]]) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({name: [row[at] for row in rows] for at, name in enumerate(NOTES.columns)}), written)
    return written.getvalue()


def erase(lakehouse: EmbeddedLakehouse, who: str, source: Source = NOTES) -> list[str]:
    """The landed files without a person's rows, by what the table says of where they stand; the table stays."""
    rows = delta.read_rows(delta.existing(lakehouse.table(source.key))).to_pylist()
    places: dict[str, dict[int, str | None]] = {}
    for row in rows:
        if row["who"] == who:
            places.setdefault(row["_source_digest"], {})[row["_source_offset"]] = ""
    return erase_landed(source, places, [], lakehouse)


@pytest.fixture
def landing(lakehouse: EmbeddedLakehouse) -> Path:
    landing = Path(lakehouse.files("landing/notes").uri)
    landing.mkdir(parents=True)
    return landing


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.csv", csv(ROWS)),
        ("a.csv", csv(ROWS, "\r\n")),
        ("a.csv", csv(ROWS).replace(b'"bert"', b'\n"bert"')),
        ("a.csv.gz", gzip.compress(csv(ROWS), mtime=0)),
        ("a.jsonl", jsonl(ROWS)),
        ("a.parquet", parquet(ROWS)),
    ],
)
def test_a_file_is_left_with_every_other_row(
    lakehouse: EmbeddedLakehouse, landing: Path, name: str, written: bytes
) -> None:
    # given a file that was ingested
    (landing / name).write_bytes(written)
    ingest(NOTES, [""], [], lakehouse)
    # when one person's rows go, and then another's
    assert erase(lakehouse, "bert") == [name]
    assert erase(lakehouse, "bert") == []
    assert erase(lakehouse, "anna") == [name]
    # then the third's is left, and nothing is read again
    again = ingest(NOTES, [""], [], lakehouse)
    assert (again.commit.unchanged, again.read) == (True, 0)
    copy = replace(NOTES, key="bronze/copy")
    ingest(copy, [""], [], lakehouse)
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/copy"))).to_pylist()
    # a line break stands in a file as its lines end
    assert [(row["who"], row["text"].replace("\r\n", "\n")) for row in rows] == [ROWS[2]]


def test_the_file_as_it_was_is_not_landed_again(lakehouse: EmbeddedLakehouse, landing: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "a.csv").write_bytes(csv(ROWS))
    assert land("landing/notes", str(origin), "*", lakehouse).written == 1
    ingest(NOTES, [""], [], lakehouse)
    erase(lakehouse, "bert")
    assert land("landing/notes", str(origin), "*", lakehouse).written == 0
    assert b"bert" not in (landing / "a.csv").read_bytes()


def test_rows_that_no_run_has_taken_would_be_lost(lakehouse: EmbeddedLakehouse, landing: Path) -> None:
    source = Source("bronze/days", "landing/notes", "*.csv", {"day": "date", "who": "string"}, "month", "day")
    (landing / "days.csv").write_text("day,who\n2013-01-01,anna\n2013-02-01,bert\n")
    ingest(source, ["2013-01"], ["2013-01", "2013-02"], lakehouse)
    with pytest.raises(DeclarationError, match=r"days\.csv has rows of 2013-02 that no run has taken"):
        erase(lakehouse, "anna", source)
    assert "anna" in (landing / "days.csv").read_text()


def test_whoever_is_killed_before_the_file_is_written_goes_on(
    lakehouse: EmbeddedLakehouse, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_platform.engine import landed_erasure

    (landing / "a.csv").write_bytes(csv(ROWS))
    ingest(NOTES, [""], [], lakehouse)
    put = landed_erasure.put

    def killed(files: Any, path: str, content: bytes) -> None:
        if path == "a.csv":
            raise KeyboardInterrupt
        put(files, path, content)

    monkeypatch.setattr(landed_erasure, "put", killed)
    with pytest.raises(KeyboardInterrupt):
        erase(lakehouse, "bert")
    monkeypatch.undo()
    assert erase(lakehouse, "bert") == ["a.csv"]
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/notes__manifest"))).to_pylist()
    assert [row["rows"] for row in rows] == [2, 0]
