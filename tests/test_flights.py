"""The flights graph, whole and on the real year: what the plain Dagster command made of it."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import polars as pl
import pytest
from flights import Flights

from ml_platform.binding import service
from ml_platform.engine import clock, delta

FLIGHTS, CANCELLED = 336_776, 8_255
LABELS = {"train": 244_737, "validate": 28_618, "test": 53_991}
LINE = re.compile(r"^ *\d+/\d+ +(?P<asset>\S+).* {2}(?P<outcome>\S.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def bound(flights: Flights, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services of this process are those that the graph was made with."""
    for name in ("ML_PLATFORM_HOME", "ML_PLATFORM_ENV"):
        monkeypatch.setenv(name, flights.environment[name])


def table(key: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(delta.read_rows(delta.existing(service("lakehouse").table(key)))))


def versions() -> dict[str, tuple[int, int]]:
    """Every Delta table's version and row count, by path."""
    root = service("lakehouse").table("x").uri.removesuffix("/x")
    tables = {path.parent.relative_to(root).as_posix() for path in Path(root).rglob("_delta_log")}
    found = {key: delta.existing(service("lakehouse").table(key)) for key in tables}
    return {key: (snapshot.version, snapshot.rows) for key, snapshot in found.items()}


def test_a_second_run_changes_nothing(flights: Flights) -> None:
    before, models = versions(), service("model_registry").versions("arrival_delay")

    again = flights.run("ml-platform", "run")

    assert again.returncode == 0, again.stderr
    told = {match["asset"]: match["outcome"] for match in LINE.finditer(again.stdout)}
    assert len(told) == 37
    assert {name: outcome for name, outcome in told.items() if outcome != "unchanged"} == {}
    assert versions() == before
    assert service("model_registry").versions("arrival_delay") == models
    assert service("endpoint_host").describe("arrival_delay").number == 1


def test_every_flight_arrives_in_silver_and_the_cancelled_stay() -> None:
    flights = table("silver/flights")

    assert flights.height == FLIGHTS == flights["flight_id"].n_unique()
    assert flights["cancelled"].sum() == CANCELLED


def test_no_file_lost_or_doubled_a_row() -> None:
    for source, rows in {"schedule": FLIGHTS, "departures": FLIGHTS, "arrivals": FLIGHTS - CANCELLED}.items():
        bronze = table(f"bronze/{source}")

        assert bronze.height == rows
        assert bronze.select("_source_digest", "_source_offset").is_unique().all()


def test_the_one_impossible_wind_stands_in_quarantine_with_its_place_in_its_file() -> None:
    (refused,) = table("silver/weather__quarantine").to_dicts()

    landed = Path(service("lakehouse").files("landing/flights").uri) / refused["source_file"]
    assert pl.read_csv(landed)["wind_speed"][refused["source_offset"]] == 1048.36058
    assert json.loads(refused["row"])["wind_speed_mph"] == 1048.36058
    assert refused["reason"] == "wind_speed_mph_between: wind_speed_mph is not between 0 and 253"
    assert table("silver/weather").height == table("bronze/weather").height - 1 == 26_114
    assert table("silver/weather")["wind_speed_mph"].max() < 50  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("carrier_references", 0),
        ("dest_references", 7_602),  # Puerto Rico and the Virgin Islands
        ("tailnum_references", 50_094),  # aircraft that the register does not have
        ("a_cancelled_flight_does_not_arrive", 0),
    ],
)
def test_what_flights_refer_to_is_checked(flights: Flights, name: str, broken: int) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["silver", "flights"]), name)
    with dg.DagsterInstance.from_config(flights.environment["DAGSTER_HOME"]) as instance:
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]

    event: Any = record.event
    found = event.dagster_event.event_specific_data
    assert (found.passed, found.metadata["broken"].value) == (not broken, broken)


def test_the_last_week_lands_hourly() -> None:
    files = table("bronze/departures")["_source_file"].unique().to_list()

    hourly = [name for name in files if re.search(r"2013-12-(2[5-9]|3[01])T\d\d\.csv$", name)]
    assert len(hourly) > 100
    assert "departures/2013-12-24.csv" in files


def test_the_split_has_the_labels_of_the_published_question() -> None:
    rows = table("training_sets/arrival_delay")

    assert dict(rows.group_by("split").len().iter_rows()) == LABELS
    assert round(rows.filter(split="test")["arrived_late"].mean(), 3) == 0.25  # type: ignore[call-overload, arg-type]


def test_the_clock_stands_behind_the_last_landed_row() -> None:
    lakehouse = service("lakehouse")
    last = max(table(f"bronze/{name}")["known_at"].max() for name in ("departures", "arrivals", "weather"))

    assert timedelta(0) <= clock.now(lakehouse, "replay") - last <= timedelta(minutes=1)  # type: ignore[operator]


def test_the_champion_beats_a_careful_fit_without_a_leak() -> None:
    champion = service("model_registry").version("arrival_delay", "champion")
    measured = json.loads(champion.tags["gate"])["decision"]["candidate"]

    assert 0.733 < measured["roc_auc"] < 0.80
    assert measured["log_loss"] < 0.489


def test_the_test_months_are_scored_in_batch_by_the_champion() -> None:
    rows = table("predictions/arrival_delay")

    assert sorted(rows["month"].unique()) == ["2013-11", "2013-12"]
    assert rows["flight_id"].is_unique().all()
    assert rows["prediction"].is_between(0, 1).all()


def test_the_endpoint_answers_as_the_batch_did() -> None:
    url = service("endpoint_host").describe("arrival_delay").url
    batch = table("predictions/arrival_delay")
    last_week = batch.filter(pl.col("event_time") > datetime.fromisoformat("2013-12-26T00:00:00Z"))
    asked = last_week.sort("flight_id").gather_every(97)
    inputs = [
        {"name": "flight_id", "shape": [asked.height], "datatype": "BYTES", "data": asked["flight_id"].to_list()},
        {
            "name": "event_time",
            "shape": [asked.height],
            "datatype": "BYTES",
            "data": [moment.isoformat() for moment in asked["event_time"]],
        },
    ]

    answer: Any = httpx.post(f"{url}/v2/models/arrival_delay/infer", json={"inputs": inputs}).json()

    served = pl.Series(answer["outputs"][0]["data"])
    assert asked.height > 40
    assert (served - asked["prediction"]).abs().max() < 1e-9  # type: ignore[operator]


def test_the_endpoint_speaks_the_open_inference_protocol() -> None:
    url = service("endpoint_host").describe("arrival_delay").url

    for route in ("health/live", "health/ready", "models/arrival_delay", "models/arrival_delay/ready"):
        assert httpx.get(f"{url}/v2/{route}").status_code == 200
    assert httpx.get(f"{url}/v2/models/another").status_code == 404


def test_the_printed_curl_line_works_as_it_stands(flights: Flights) -> None:
    said = flights.run("ml-platform", "run", "--select", 'key:"endpoints/arrival_delay"').stdout
    line = next(line.strip() for line in said.splitlines() if line.strip().startswith("curl"))

    answered = flights.run("/bin/sh", "-c", line)

    assert json.loads(answered.stdout)["outputs"][0]["name"] == "probability"


def test_what_the_endpoint_needs_is_one_selection(flights: Flights) -> None:
    command = ["dagster", "asset", "materialize", "-m", "ml_platform.definitions", "--partition-range"]

    made = flights.run(*command, "2013-01...2013-12", "--select", '+key:"endpoints/arrival_delay"')

    assert made.returncode == 0, made.stderr[-3_000:]
    steps = set(re.findall(r"(\w+) - STEP_SUCCESS", made.stdout + made.stderr))
    assert {"landing__flights", "training_sets__arrival_delay", "endpoints__arrival_delay"} <= steps
    assert "monitors__arrival_delay" not in steps


def test_a_selection_that_matches_nothing_is_an_error(flights: Flights) -> None:
    refused = flights.run("ml-platform", "run", "--select", "group:nope")

    assert refused.returncode == 1
    assert "group:nope" in refused.stderr
    assert "matches no asset" in refused.stderr


@pytest.mark.parametrize("command", [["list", "defs"], ["check", "defs"], ["check", "yaml"]], ids=" ".join)
def test_the_dg_commands_work(flights: Flights, command: list[str]) -> None:
    done = flights.run("dg", *command)

    assert done.returncode == 0, done.stdout + done.stderr
