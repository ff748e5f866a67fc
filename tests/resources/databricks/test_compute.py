from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest

from ml_platform.engine import delta, sql
from ml_platform.engine.expectations import Expectations
from ml_platform.engine.plan import Shape, rows
from ml_platform.engine.quarantine import SUFFIX
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.tables import make
from ml_platform.errors import BindingError
from ml_platform.records.expectation import Rule
from ml_platform.records.table import Location
from ml_platform.testing.compute import ComputeContract, committed
from resources.databricks.compute import DatabricksCompute
from resources.databricks.testing.spark import spark
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

ROOT = Path(__file__).parents[3]
MONTH = "2013-01"


@pytest.fixture(scope="module")
def compute() -> Iterator[DatabricksCompute]:
    with spark() as address:
        yield DatabricksCompute(remote=address)


class TestDatabricksCompute(ComputeContract):
    @pytest.fixture
    def compute(self, compute: DatabricksCompute) -> DatabricksCompute:
        return compute

    @pytest.fixture
    def lakehouse(self, tmp_path: Path) -> EmbeddedLakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedLakehouse:
    """The flights of one month, from their files to gold, as DuckDB makes them."""
    home = tmp_path_factory.mktemp("january")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_PLATFORM_", "DAGSTER_"))}
    command = ["asset", "materialize", "-m", "ml_platform.definitions", "--partition-range", f"{MONTH}...{MONTH}"]
    made = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), *command, "--select", '+key:"gold/airport_day"'],
        cwd=ROOT,
        env={**kept, "ML_PLATFORM_HOME": str(home), "ML_PLATFORM_ENV": "test", "DAGSTER_HOME": str(home / "dagster")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-5_000:]
    return EmbeddedLakehouse(str(home / "test" / "lakehouse"))


@pytest.mark.parametrize(
    ("key", "identity"), [("silver/flights", ("flight_id",)), ("gold/airport_day", ("airport", "flight_date"))]
)
def test_a_months_rows_are_those_of_duckdb_one_for_one(
    compute: DatabricksCompute, january: EmbeddedLakehouse, tmp_path: Path, key: str, identity: tuple[str, ...]
) -> None:
    # given the table's own query, over the versions that DuckDB read
    text = sql.read(ROOT / "assets" / key / f"{key.rpartition('/')[2]}.sql")
    inputs = {sql.relation(table): delta.existing(january.table(table)) for table in sql.tables_read(text, key)}
    # when Spark runs it
    query = rows(text, Shape(key=identity, partition="month"), [MONTH])
    staged = compute.stage(query, inputs, Location(key, str(tmp_path / "staged")), ("month",))
    # then the rows are the committed ones, and so are the bytes: files are named by them
    committed = delta.existing(january.table(key))
    assert staged.rows > 0
    assert delta.read_rows(staged).equals(delta.read_rows(committed))
    assert [file.path for file in staged.files] == [file.path for file in committed.files]


@pytest.mark.parametrize("write", ["overwrite", "merge"])
def test_a_table_is_sifted_as_duckdb_sifts_it(
    compute: DatabricksCompute, tmp_path: Path, write: Literal["overwrite", "merge"]
) -> None:
    # given rows of which each breaks another rule, and one none
    landed = pa.table(
        {
            "id": ["good", "low", "late", "set", "text", "orphan", "odd", "good"],
            "n": [1, -1, 1, 1, 1, 1, 13, 1],
            "day": [date(2013, 1, 1)] * 2 + [date(2014, 1, 1)] + [date(2013, 1, 1)] * 5,
            "kind": ["a", "a", "a", "c", "a", "a", "a", "a"],
            "code": ["N1", "N1", "N1", "N1", "n\\d", "N1", "N1", "N1"],
            "store": ["x", "x", "x", "x", "x", "y", None, "x"],
            "month": ["2013-01"] * 8,
            "_source_file": ["f.csv"] * 8,
            "_source_offset": [0, 1, 2, 3, 4, 5, 6, 7],
        }
    )
    rules = (
        Rule("low", "between", "quarantine", column="n", low=0, high=99.5),
        Rule("late", "between", "quarantine", column="day", high="2013-12-31"),
        Rule("set", "one_of", "quarantine", column="kind", values=("a", "b")),
        Rule("text", "matches", "quarantine", column="code", pattern=r"N\d"),
        Rule("orphan", "references", "quarantine", column="store", parent="silver/stores", parent_column="store"),
        Rule("odd", "sql", "quarantine", predicate="n < 10 OR kind <> 'a'"),
        Rule("alone", "unique", "warn", column="id"),
    )
    query = "SELECT id, n, day, kind, code, store, month FROM bronze.orders"
    shape = Shape(("id",), "month", write, "n" if write == "merge" else None)
    made = Recipe("silver/orders", ("bronze/orders",), shape, "1", query, expects=Expectations(rules))
    found = []
    for service in (compute, EmbeddedCompute(threads=1)):
        lakehouse = EmbeddedLakehouse(str(tmp_path / type(service).__name__))
        committed(landed, lakehouse.table("bronze/orders"), ("month",))
        committed(pa.table({"store": ["x", "x"]}), lakehouse.table("silver/stores"))
        # when each service makes the table
        inspected = make(made, [MONTH], [MONTH], lakehouse, service).inspected
        kept, apart = (delta.read_rows(delta.existing(lakehouse.table(f"silver/orders{s}"))) for s in ("", SUFFIX))
        refused = sorted(zip(*(apart[c].to_pylist() for c in ("rule", "source_offset", "row")), strict=True))
        found.append((kept.to_pylist(), refused, inspected.rows_in, inspected.rows_out))
    # then the rows that stay and the rows that go are the same
    assert found[0] == found[1]
    assert [row["id"] for row in found[0][0]] == ["good"]
    assert [refused[:2] for refused in found[0][1]] == [
        ("late", 2),
        ("low", 1),
        ("odd", 6),
        ("orphan", 5),
        ("set", 3),
        ("text", 4),
    ]


@pytest.mark.parametrize("settings", [{}, {"cluster_id": "0123-456789-abcdefgh", "remote": "sc://127.0.0.1:1"}])
def test_one_place_for_spark_has_to_be_named(settings: dict[str, str]) -> None:
    with pytest.raises(BindingError, match=r"compute\.cluster_id and compute\.remote"):
        DatabricksCompute(**settings)
