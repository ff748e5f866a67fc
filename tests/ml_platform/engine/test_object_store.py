from __future__ import annotations

from pathlib import Path

from pyarrow.fs import FileSelector, FileType

from ml_platform.engine.object_store import object_store


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    files = object_store(f"file://{tmp_path}", {})
    content = bytes(range(256)) * 50_000
    with files.open_output_stream("far/away.bin") as stream:
        for start in range(0, len(content), 1_000_000):
            stream.write(content[start : start + 1_000_000])
    with files.open_input_stream("far/away.bin") as stream:
        assert stream.read() == content
    assert (tmp_path / "far" / "away.bin").read_bytes() == content


def test_what_is_not_there_says_so(tmp_path: Path) -> None:
    files = object_store(f"file://{tmp_path}", {})
    assert files.get_file_info("never").type == FileType.NotFound
    assert files.get_file_info(FileSelector("", recursive=True, allow_not_found=True)) == []
