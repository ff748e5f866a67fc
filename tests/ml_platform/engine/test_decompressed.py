from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ml_platform.engine.decompressed import FREE_BYTES
from ml_platform.engine.files import filesystem
from ml_platform.engine.source_files import text_of
from ml_platform.errors import SourceError
from ml_platform.records.table import Location


def _read(folder: Path, name: str, content: bytes) -> int:
    """How many bytes come out of a file."""
    (folder / name).write_bytes(content)
    came = 0
    with text_of(filesystem(Location("landing/x", str(folder))), name) as stream:
        while block := stream.read(2**20):
            came += len(block)
    return came


def test_a_file_that_grows_as_rows_do_is_read_to_its_end(tmp_path: Path) -> None:
    content = b"n,text\n" + b"1,a\n" * 100_000
    assert _read(tmp_path, "x.csv.gz", gzip.compress(content)) == len(content)


def test_a_file_that_is_made_to_fill_a_disk_is_refused_before_it_does(tmp_path: Path) -> None:
    # 64 MiB of zeros and one more, in 64 kB
    bomb = gzip.compress(bytes(FREE_BYTES + 2**20), compresslevel=1)
    assert len(bomb) < FREE_BYTES / 100
    with pytest.raises(SourceError, match=r"x\.csv\.gz is of .* bytes, but decompresses to more than 100 times"):
        _read(tmp_path, "x.csv.gz", bomb)
