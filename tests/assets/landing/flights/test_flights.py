"""The landing asset on one flight in four hundred of the real year."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from ml_platform.engine import clock
from resources.embedded.lakehouse import EmbeddedLakehouse

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")


@pytest.fixture
def lakehouse(tmp_path: Path) -> EmbeddedLakehouse:
    return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


@pytest.fixture
def folder(lakehouse: EmbeddedLakehouse) -> Path:
    return Path(lakehouse.files("landing/flights").uri)


def land(lakehouse: EmbeddedLakehouse, first: str, last: str | None = None) -> list[dg.AssetMaterialization]:
    from assets.landing.flights.flights import flights

    result = dg.materialize(
        [flights],
        resources={"lakehouse": lakehouse},
        run_config={"ops": {"landing__flights": {"config": {"every": 400}}}},
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first},
    )
    return list(result.asset_materializations_for_node("landing__flights"))


def values(materialization: dg.AssetMaterialization) -> dict[str, Any]:
    return {name: value.value for name, value in materialization.metadata.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_flight_of_the_sample_lands_once(lakehouse: EmbeddedLakehouse, folder: Path):
    from assets.landing.flights.flights import landing_files, package_data

    land(lakehouse, "2013-01", "2013-12")

    plans = pl.concat(pl.read_csv(path, infer_schema=False) for path in sorted(folder.glob("schedule/*.csv")))
    departures = pl.concat(pl.read_csv(path, infer_schema=False) for path in sorted(folder.glob("departures/*.csv")))
    key = ["flight_date", "carrier", "flight", "origin"]
    assert len(list(folder.glob("schedule/*.csv"))) == 12
    assert plans.select(key).sort(key).equals(departures.select(key).sort(key))
    assert not plans.select(key).is_duplicated().any()
    assert sorted(contents(folder)) == sorted(landing_files(package_data(), _months(), 400))


def test_landing_again_leaves_every_file_untouched(lakehouse: EmbeddedLakehouse, folder: Path):
    (first,) = land(lakehouse, "2013-06")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.csv")}

    (second,) = land(lakehouse, "2013-06")

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.csv")} == before
    assert values(first)["files_written"] == values(second)["files_unchanged"] == len(before)
    assert values(second)["files_written"] == 0
    assert first.tags["dagster/data_version"] == second.tags["dagster/data_version"]


def test_a_damaged_file_is_replaced_and_nothing_else(lakehouse: EmbeddedLakehouse, folder: Path):
    land(lakehouse, "2013-06")
    whole = contents(folder)
    (folder / "airlines/airlines.csv").write_bytes(b"carrier,na")

    (again,) = land(lakehouse, "2013-06")

    assert values(again)["files_written"] == 1
    assert contents(folder) == whole


def test_months_landed_one_by_one_give_the_bytes_of_both_together(lakehouse: EmbeddedLakehouse, tmp_path: Path):
    land(lakehouse, "2013-02")
    land(lakehouse, "2013-01")
    other = EmbeddedLakehouse(str(tmp_path / "other"))
    land(other, "2013-01", "2013-02")

    assert contents(Path(lakehouse.files("landing/flights").uri)) == contents(Path(other.files("landing/flights").uri))


def test_files_end_in_a_line_break_and_no_part_stays_behind(lakehouse: EmbeddedLakehouse, folder: Path):
    land(lakehouse, "2013-12")

    assert all(content.endswith(b"\n") for content in contents(folder).values())
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".csv"}


def test_rows_are_counted_for_every_partition(lakehouse: EmbeddedLakehouse, folder: Path):
    january, february = land(lakehouse, "2013-01", "2013-02")

    rows = {
        month: sum(path.read_bytes().count(b"\n") - 1 for path in folder.glob(f"*/{month}*.csv"))
        for month in ("2013-01", "2013-02")
    }
    assert (january.partition, values(january)["dagster/partition_row_count"]) == ("2013-01", rows["2013-01"])
    assert (february.partition, values(february)["dagster/partition_row_count"]) == ("2013-02", rows["2013-02"])


def test_the_data_version_is_the_digest_of_what_landed(lakehouse: EmbeddedLakehouse, folder: Path):
    (june,) = land(lakehouse, "2013-06")

    listing = "".join(f"{path} {hashlib.sha256(held).hexdigest()}\n" for path, held in sorted(contents(folder).items()))
    assert june.tags["dagster/data_version"] == hashlib.sha256(listing.encode()).hexdigest()


def test_the_replay_clock_stands_at_the_last_row_that_landed(lakehouse: EmbeddedLakehouse, folder: Path):
    land(lakehouse, "2013-03")

    known_at = max(
        line.rsplit(",", 1)[-1] for path in folder.rglob("*.csv") for line in path.read_text().splitlines()[1:]
    )
    assert f"{clock.now(lakehouse, 'replay'):%Y-%m-%dT%H:%M:%SZ}" == known_at


def _months() -> list[str]:
    return [f"2013-{month:02}" for month in range(1, 13)]
