from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal

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
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.testing.compute import ComputeContract, committed
from ml_platform.testing.concurrent_modes import ContendedPartitionContract
from ml_platform.testing.stand_in import Cloud
from resources.aws.lakehouse import AwsLakehouse
from resources.aws.testing.s3 import s3
from resources.databricks.compute import DatabricksCompute
from resources.databricks.testing.spark import spark
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

ROOT = Path(__file__).parents[3]
MONTH = "2013-01"


@pytest.fixture(scope="module")
def sail() -> Iterator[DatabricksCompute]:
    with spark() as address:
        yield DatabricksCompute(remote=address)


class TestDatabricksCompute(ComputeContract):
    """On Sail, which sees this machine's files; on an account's cluster, over the account's lakehouse."""

    @pytest.fixture
    def compute(self, databricks: Cloud, request: pytest.FixtureRequest) -> DatabricksCompute:
        if databricks.stores:
            sail: DatabricksCompute = request.getfixturevalue("sail")
            return sail
        return DatabricksCompute(cluster_id=databricks.environment["DATABRICKS_CLUSTER_ID"])

    @pytest.fixture
    def lakehouse(
        self, databricks: Cloud, lakehouse_in: Callable[[str], Lakehouse], prefix: str, tmp_path: Path
    ) -> Lakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse")) if databricks.stores else lakehouse_in(prefix)


class TestContendedPartitionOnDatabricksCompute(ContendedPartitionContract):
    """On Sail."""

    @pytest.fixture
    def compute(self, sail: DatabricksCompute) -> DatabricksCompute:
        return sail

    @pytest.fixture
    def lakehouse(self, tmp_path: Path) -> Lakehouse:
        return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


def made(home: Path, **variables: str) -> None:
    """The flights of one month, from their files to gold, in environment `test`; state of this machine is at home."""
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_PLATFORM_", "DAGSTER_"))}
    own = {"ML_PLATFORM_HOME": str(home), "ML_PLATFORM_ENV": "test", "DAGSTER_HOME": str(home / "dagster")}
    command = ["asset", "materialize", "-m", "ml_platform.definitions", "--partition-range", f"{MONTH}...{MONTH}"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), *command, "--select", '+key:"gold/airport_day"'],
        cwd=ROOT,
        env={**kept, **own, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5_000:]


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedLakehouse:
    """As DuckDB makes it, in a folder."""
    home = tmp_path_factory.mktemp("january")
    made(home)
    return EmbeddedLakehouse(str(home / "test" / "lakehouse"))


@pytest.fixture(scope="module")
def january_on_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsLakehouse]:
    """As Spark makes it, in an object store: compute is bound by variables, like any service."""
    with s3("lake") as store, pytest.MonkeyPatch.context() as patch:
        settings = {**store.settings, "prefix": "test"}
        # By these Sail finds the store; a cluster has its own.
        own = {"AWS_ENDPOINT": settings["endpoint_url"], "AWS_ALLOW_HTTP": "true", "AWS_REGION": settings["region"]}
        for name, value in {**store.environment, **own}.items():
            patch.setenv(name, value)
        with spark() as address:
            bound = {f"ML_PLATFORM_LAKEHOUSE__{name.upper()}": value for name, value in settings.items()}
            bound |= {"ML_PLATFORM_LAKEHOUSE": "aws", "ML_PLATFORM_COMPUTE": "databricks"}
            made(tmp_path_factory.mktemp("spark"), **bound, ML_PLATFORM_COMPUTE__REMOTE=address)
        yield AwsLakehouse(**settings)


@pytest.mark.parametrize("key", ["silver/flights", "gold/airport_day"])
def test_a_graph_made_by_spark_in_an_object_store_has_the_rows_that_duckdb_makes(
    january_on_spark: AwsLakehouse, january: EmbeddedLakehouse, key: str
) -> None:
    ours, theirs = (delta.existing(lakehouse.table(key)) for lakehouse in (january, january_on_spark))
    assert theirs.location.uri.startswith("s3://")
    assert theirs.rows > 0
    assert delta.read_rows(theirs).equals(delta.read_rows(ours))


@pytest.mark.parametrize(
    ("key", "identity"), [("silver/flights", ("flight_id",)), ("gold/airport_day", ("airport", "flight_date"))]
)
def test_a_months_rows_are_those_of_duckdb_one_for_one(
    sail: DatabricksCompute, january: EmbeddedLakehouse, tmp_path: Path, key: str, identity: tuple[str, ...]
) -> None:
    # given the table's own query, over the versions that DuckDB read
    text = sql.read(ROOT / "assets" / key / f"{key.rpartition('/')[2]}.sql")
    inputs = {sql.relation(table): delta.existing(january.table(table)) for table in sql.tables_read(text, key)}
    # when Spark runs it
    query = rows(text, Shape(key=identity, partition="month"), [MONTH], [MONTH, "2013-02"])
    staged = sail.stage(query, inputs, Location(key, str(tmp_path / "staged")), ("month",))
    # then the rows are the committed ones, and so are the bytes: files are named by them
    committed = delta.existing(january.table(key))
    assert staged.rows > 0
    assert delta.read_rows(staged).equals(delta.read_rows(committed))
    assert [file.path for file in staged.files] == [file.path for file in committed.files]


@pytest.mark.parametrize("write", ["overwrite", "merge"])
def test_a_table_is_sifted_as_duckdb_sifts_it(
    sail: DatabricksCompute, tmp_path: Path, write: Literal["overwrite", "merge"]
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
    for service in (sail, EmbeddedCompute(threads=1)):
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


@pytest.mark.parametrize("write", ["append", "merge", "history"])
def test_a_table_is_kept_as_duckdb_keeps_it(sail: DatabricksCompute, tmp_path: Path, write: Any) -> None:
    # given orders of three arrivals: with corrections, late, deleted and offered twice
    shape = Shape(
        () if write == "append" else ("id",), None, write, "moment", None if write == "append" else "city = 'gone'"
    )
    arrivals = [
        [("a", 1, "Rome"), ("a", 5, "Rome"), ("b", 1, "Bonn"), ("c", 2, "gone")],
        [("a", 3, "Oslo"), ("b", 4, "gone"), ("c", 1, "Oslo"), ("d", 1, "Kyiv"), ("d", 1, "Kyiv")],
        [("a", 5, "Rome"), ("d", 2, "Lima"), ("b", 5, "Bonn")],
    ]
    kept = []
    for service in (sail, EmbeddedCompute()):
        lakehouse = EmbeddedLakehouse(str(tmp_path / type(service).__name__))
        for number, arrived in enumerate(arrivals):
            ids, moments, cities = zip(*arrived, strict=True)
            batch = pa.table({"id": ids, "moment": moments, "city": cities, "batch": [number] * len(ids)})
            committed(batch, lakehouse.table("bronze/moves"))
            recipe = Recipe("silver/moves", ("bronze/moves",), shape, "1", "SELECT id, moment, city FROM bronze.moves")
            make(recipe, [""], [""], lakehouse, service)
        found = delta.read_rows(delta.existing(lakehouse.table("silver/moves"))).to_pylist()
        kept.append(sorted(({name: value or None for name, value in row.items()} for row in found), key=str))
    assert kept[0] == kept[1]
    assert len(kept[0]) == {"append": 12, "merge": 3, "history": 8}[write]
