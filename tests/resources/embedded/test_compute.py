from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.errors import BindingError, ServiceError
from ml_platform.records.table import Location
from ml_platform.testing.compute import DELAYS, ComputeContract, committed
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


class TestEmbeddedCompute(ComputeContract):
    @pytest.fixture
    def compute(self) -> EmbeddedCompute:
        return EmbeddedCompute()

    @pytest.fixture
    def lakehouse(self, tmp_path: Path) -> EmbeddedLakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


def test_settings_reach_the_engine() -> None:
    compute = EmbeddedCompute(memory_limit_gib=0.5, threads=1)
    found = compute.fetch("SELECT current_setting('threads') AS threads, current_setting('memory_limit') AS memory", {})
    assert found.to_pylist() == [{"threads": 1, "memory": "512.0 MiB"}]


def test_a_query_larger_than_its_memory_spills_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a sort of 80 MB in 50 MB
    spill, here = tmp_path / "spill", tmp_path / "here"
    spill.mkdir()
    here.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spill))
    monkeypatch.chdir(here)
    compute = EmbeddedCompute(memory_limit_gib=0.05, threads=1)
    # when it is staged
    query = "SELECT i, hash(i)::VARCHAR AS h FROM range(2000000) AS t(i) ORDER BY h"
    staged = compute.stage(query, {}, Location("silver/large", str(tmp_path / "t")), ())
    # then it is whole, and neither its folder nor the one for spilling holds anything
    assert staged.rows == 2_000_000
    assert list(here.iterdir()) == []
    assert list(spill.iterdir()) == []


def test_a_query_that_fails_or_spills_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    compute, target = EmbeddedCompute(memory_limit_gib=0.05, threads=1), Location("silver/x", str(tmp_path / "t"))
    for failing in ("SELECT nothing", "SELECT list(hash(i)::VARCHAR) FROM range(20000000) AS t(i)"):
        with pytest.raises(ServiceError):
            compute.stage(failing, {}, target, ())
        assert compute.fetch("SELECT 1 AS n", {}).to_pylist() == [{"n": 1}]


def test_queries_at_one_time_see_their_own_inputs(tmp_path: Path) -> None:
    compute = EmbeddedCompute(threads=1)
    ready = threading.Barrier(4, timeout=20)

    def total(number: int) -> int:
        table = committed(pa.table({"n": [number] * 10}), Location("bronze/x", str(tmp_path / f"{number}")))
        ready.wait()
        rows = [compute.fetch("SELECT sum(n) AS n FROM bronze.x", {"bronze.x": table}) for _ in range(5)]
        return sum(found["n"][0].as_py() for found in rows)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(total, range(4))) == [0, 50, 100, 150]


def test_no_extension_is_fetched_from_the_network() -> None:
    found = EmbeddedCompute().fetch("SELECT current_setting('autoinstall_known_extensions') AS installs", {})
    assert found.to_pylist() == [{"installs": False}]


def test_a_table_at_a_uri_is_read_from_copies_that_the_next_query_finds(tmp_path: Path) -> None:
    # given a table whose files are behind a URI
    (tmp_path / "store").mkdir()
    table = committed(DELAYS, Location("bronze/delays", f"file://{tmp_path}/store"), ("month",))
    query = "SELECT sum(flight) AS flights FROM bronze.delays"
    compute = EmbeddedCompute(cache=str(tmp_path / "cache"))
    assert compute.fetch(query, {"bronze.delays": table}).to_pylist() == [{"flights": 15}]
    # when the files themselves are gone
    for file in (tmp_path / "store").rglob("*.parquet"):
        file.unlink()
    # then the copies answer
    assert compute.fetch(query, {"bronze.delays": table}).to_pylist() == [{"flights": 15}]


def test_a_table_at_a_uri_without_a_folder_for_copies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    table = committed(DELAYS, Location("bronze/delays", f"file://{tmp_path}/store"))
    with pytest.raises(BindingError, match=r"compute\.cache is unbound, but the table bronze/delays"):
        EmbeddedCompute().fetch("SELECT * FROM bronze.delays", {"bronze.delays": table})
