"""Claims in a local folder. That no run takes a file from another is in `LakehouseContract`, for every store."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine import claims
from ml_platform.engine.files import filesystem
from ml_platform.engine.staging import present
from ml_platform.records.table import Location

PATH = "month=1/a.parquet"


@pytest.fixture
def location(tmp_path: Path) -> Location:
    (tmp_path / "month=1").mkdir()
    return Location("silver/a", str(tmp_path))


def place(location: Location, content: bytes = b"rows") -> bool:
    return claims.place(location, filesystem(location), PATH, pa.py_buffer(content))


def test_who_comes_second_claims_and_nobody_withdraws_what_is_claimed(location: Location) -> None:
    assert place(location)
    assert not place(location)
    claims.withdraw(location, [PATH])
    assert present(location) == {PATH}
    assert (Path(location.uri) / PATH).read_bytes() == b"rows"


def test_what_nobody_else_has_is_withdrawn_and_placed_anew(location: Location) -> None:
    assert place(location)
    claims.withdraw(location, [PATH, "month=1/never.parquet"])
    assert present(location) == set()
    assert not claims.adopt(location, filesystem(location), PATH)
    assert place(location)


def test_of_many_that_place_one_file_one_wrote_it_and_it_is_claimed_by_the_others(location: Location) -> None:
    wrote: list[bool] = []
    threads = [threading.Thread(target=lambda: wrote.append(place(location))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrote) == [False] * 15 + [True]
    claims.withdraw(location, [PATH])
    assert present(location) == {PATH}


def test_claims_are_forgotten_when_they_are_old(location: Location) -> None:
    for path in (PATH, "b.parquet"):
        claims.place(location, filesystem(location), path, pa.py_buffer(b"rows"))
        assert claims.adopt(location, filesystem(location), path)
    now, (old, _) = time.time(), sorted((Path(location.uri) / claims.FOLDER).glob("*parquet"))
    os.utime(old, (now - 100, now - 100))
    claims.forget(location, now, 60)
    claims.withdraw(location, [PATH, "b.parquet"])
    assert len(present(location)) == 1
