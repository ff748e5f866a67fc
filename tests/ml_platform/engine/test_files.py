from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.fs import FileSelector

from ml_platform.engine import delta
from ml_platform.engine.files import download, filesystem, put, require_room, undrawn, upload
from ml_platform.engine.staging import present, stage
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "uri"])
def test_files_are_the_same_wherever_they_are(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "place").mkdir()
    files = filesystem(Location("landing/flights", f"{scheme}{tmp_path}/place"))
    with files.open_output_stream("a.writing") as stream:
        stream.write(b"rows")
    files.move("a.writing", "a.csv")
    assert (tmp_path / "place" / "a.csv").read_bytes() == b"rows"
    assert [info.path for info in files.get_file_info(FileSelector("", recursive=True))] == ["a.csv"]
    with files.open_input_stream("a.csv") as stream:
        assert stream.read() == b"rows"
    files.delete_file("a.csv")
    with pytest.raises(FileNotFoundError):
        files.open_input_stream("a.csv")


def test_a_local_folder_is_made_when_it_is_missing(tmp_path: Path) -> None:
    filesystem(Location("a/b", str(tmp_path / "far" / "away")))
    assert (tmp_path / "far" / "away").is_dir()


def test_a_table_can_live_at_a_uri(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    location = Location("a/b", f"file://{tmp_path}/table")
    rows = pa.table({"n": [1, 2], "m": ["x y", "z"]})
    staged = stage(rows.to_batches(), rows.schema, location, ("m",))
    assert present(location) == {file.path for file in staged.files}
    delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
    assert delta.read_rows(delta.existing(location)).sort_by("n").to_pylist() == rows.to_pylist()


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["path", "uri"])
def test_what_is_put_replaces_what_stood_and_leaves_nothing_beside(tmp_path: Path, scheme: str) -> None:
    files = filesystem(Location("platform", f"{scheme}{tmp_path}"))
    put(files, "clock.txt", b"one")
    put(files, "clock.txt", pa.py_buffer(b"two"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"clock.txt": b"two"}


def test_a_folder_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    (tmp_path / "sent" / "a.txt").write_text("a")
    (tmp_path / "sent" / "deep" / "b.txt").write_text("b")
    place = Location("a/b", str(tmp_path / "place"))
    upload(tmp_path / "sent", place)
    download(place, tmp_path / "back")
    found = {path.relative_to(tmp_path / "back").as_posix() for path in (tmp_path / "back").rglob("*.txt")}
    assert found == {"a.txt", "deep/b.txt"}
    assert (tmp_path / "back" / "deep" / "b.txt").read_text() == "b"


def test_a_file_holds_the_bytes_that_were_put_whatever_it_is_called(tmp_path: Path) -> None:
    files = filesystem(Location("x", str(tmp_path)))
    for name in ("a.csv", "a.csv.gz", "a.csv.bz2"):
        put(files, name, b"n\n1\n")
        assert (tmp_path / name).read_bytes() == b"n\n1\n"


def test_where_there_was_no_room_the_file_is_named() -> None:
    require_room("a.csv needs 5 bytes", OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(ServiceError, match=r"the file a.csv needs 5 bytes, but there is no room for it: No space left"):
        require_room("a.csv needs 5 bytes", OSError(errno.ENOSPC, "No space left on device"))


def test_what_a_library_draws_is_left_out() -> None:
    assert undrawn(OSError("Generic error\n  \x1b[31m↳\x1b[0m no\n    route")) == "Generic error no route"
