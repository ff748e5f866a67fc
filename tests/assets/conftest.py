"""A small lake for the SQL files: every bronze and silver table, empty and typed as it really is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import yaml

from ml_platform.engine.aggregates import Aggregate, compiled

ASSETS = Path(__file__).parents[2] / "assets"
Row = dict[str, Any]

_TYPES = {
    "string": "VARCHAR",
    "int32": "INTEGER",
    "float64": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
}


class SmallLake:
    """Tables to put rows into, and the files in `assets/` that are run over them."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect()
        self._do("SET TimeZone = 'UTC'")
        for layer in ("bronze", "silver", "gold"):
            self._do(f"CREATE SCHEMA {layer}")
        for file in ASSETS.glob("bronze/*/defs.yaml"):
            self._declare(file)
        for table in ("flight_plans", "departures", "arrivals", "weather", "flights", "planes", "airports", "airlines"):
            self.make(f"silver/{table}")

    def put(self, table: str, *rows: Row) -> SmallLake:
        """The rows stand in the table, for instance `silver.flights`; columns that a row leaves out are NULL."""
        for row in rows:
            places = ", ".join("?" for _ in row)
            self._do(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))
        return self

    def run(self, key: str) -> list[Row]:
        """What the asset's query gives, equal rows collapsed and in a fixed order, as the engine does."""
        return self.frame(f"SELECT DISTINCT * FROM ({_query(key)}) AS made ORDER BY ALL").to_dicts()

    def make(self, key: str) -> None:
        """The asset's table holds what its query or function gives."""
        name = key.replace("/", ".")
        self._do(f"DROP TABLE IF EXISTS {name}")
        if key == "silver/flight_plans":
            plans = _flight_plans()(self.frame("SELECT * FROM bronze.schedule"))
            self._duckdb.register("plans", plans.to_arrow())
            self._do(f"CREATE TABLE {name} AS SELECT DISTINCT * FROM plans")
        else:
            self._do(f"CREATE TABLE {name} AS SELECT DISTINCT * {_as_kept(key)} FROM ({_query(key)}) AS made")

    def load(self, table: str, rows: pl.DataFrame) -> None:
        """The frame's rows stand in the table too, their text read as the table's types."""
        self._duckdb.register("rows", rows.to_arrow())
        self._do(f"INSERT INTO {table} BY NAME SELECT * FROM rows")

    def frame(self, query: str) -> pl.DataFrame:
        """What any query over the tables gives."""
        return pl.DataFrame(self._duckdb.sql(query).to_arrow_table())

    def _declare(self, file: Path) -> None:
        attributes = yaml.safe_load(file.read_text())["attributes"]
        columns = [f"{name} {_TYPES[kind]}" for name, kind in attributes["columns"].items()]
        if "partition_of" in attributes:
            columns.append("month VARCHAR")
        self._do(f"CREATE TABLE bronze.{file.parent.name} ({', '.join(columns)})")

    def _do(self, statement: str, values: list[Any] | None = None) -> None:
        self._duckdb.execute(statement, values).fetchall()


def _as_kept(key: str) -> str:
    """What a history adds to the columns of its query, and the one that it turns into them."""
    attributes = yaml.safe_load((ASSETS / key / "defs.yaml").read_text())["attributes"]
    if attributes.get("write") != "history":
        return ""
    newest = attributes["newest"]
    return f"EXCLUDE {newest}, {newest} AS valid_from, {newest} AS valid_to, true AS is_current"


def _query(key: str) -> str:
    """What the platform makes of the asset's file."""
    text = (ASSETS / key / f"{key.rsplit('/', 1)[-1]}.sql").read_text()
    declared = yaml.safe_load((ASSETS / key / "defs.yaml").read_text())["attributes"]
    if "aggregates" not in declared:
        return text
    aggregates = {name: Aggregate(**each) for name, each in declared["aggregates"].items()}
    return compiled(text, declared["entity"], "month", aggregates)


def _flight_plans() -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The one Python table's function, imported as the platform does: from its file."""
    file = ASSETS / "silver/flight_plans/flight_plans.py"
    spec = importlib.util.spec_from_file_location("flight_plans", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.flight_plans


@pytest.fixture
def lake() -> SmallLake:
    return SmallLake()


@pytest.fixture
def flight_plans() -> Callable[[pl.DataFrame], pl.DataFrame]:
    return _flight_plans()
