from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ml_platform import connect
from ml_platform.connection import Connection
from ml_platform.errors import AuditError, BindingError, DeclarationError, NotFoundError
from ml_platform.testing import shop
from ml_platform.testing.project import Project

_SELECT = '+key:"models/returns__champion"'
_SET = "training_sets/returns"
_MOMENT = datetime(2024, 4, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = shop.project(tmp_path_factory.mktemp("shop"))
    ran = made.run(_SELECT, shop.EVERYTHING)
    assert ran.success, ran.failures
    return made


@pytest.fixture
def connection(project: Project) -> Connection:
    return Connection(project.services, project.module)


def test_a_table_is_what_stands_and_says_at_which_version(connection: Connection, project: Project) -> None:
    found = connection.table("silver/orders")

    assert sorted(found.to_arrow()["order_id"].to_pylist()) == sorted(
        row["order_id"] for row in project.rows("silver/orders")
    )
    assert found.versions == {"silver/orders": project.version("silver/orders")}
    assert repr(found) == f"silver/orders (silver/orders version {project.version('silver/orders')})"


def test_rows_are_the_same_in_every_library(connection: Connection) -> None:
    found = connection.table("silver/orders", columns=["order_id", "amount"], where="amount >= 98")

    rows = found.to_arrow().to_pylist()
    assert rows
    assert all(row["amount"] >= 98 and list(row) == ["order_id", "amount"] for row in rows)
    assert found.to_polars().to_dicts() == found.to_pandas().to_dict("records") == rows
    assert pl.DataFrame(found).to_dicts() == rows


def test_an_earlier_version_can_be_opened(project: Project, connection: Connection, tmp_path: Path) -> None:
    before = connection.table("silver/orders").versions["silver/orders"]

    assert connection.table("silver/orders", version=before).to_arrow().num_rows == 240
    with pytest.raises(NotFoundError, match="99"):
        connection.table("silver/orders", version=99).to_arrow()


@pytest.mark.parametrize(
    "where", ["1=1; COPY (SELECT 1) TO '{file}'; SELECT 1", "1=1; ATTACH '{file}'; SELECT 1", "1=1) UNION (SELECT 1"]
)
def test_a_condition_is_one_expression_and_nothing_is_written_by_it(
    connection: Connection, tmp_path: Path, where: str
) -> None:
    file = tmp_path / "written"
    with pytest.raises(DeclarationError, match=r"where of silver/orders is .*, but that is not one expression"):
        connection.table("silver/orders", where=where.format(file=file))
    assert not file.exists()


def test_a_query_reads_tables_by_their_names(connection: Connection) -> None:
    found = connection.sql("SELECT store, count(*) AS n FROM silver.orders GROUP BY store ORDER BY store")

    assert found.to_arrow().to_pylist() == [{"store": store, "n": 80} for store in sorted(shop.STORES)]
    assert list(found.versions) == ["silver/orders"]


@pytest.mark.parametrize(
    "given",
    [pl.DataFrame, lambda rows: pd.DataFrame(rows, index=[7, 3, 5]), pa.Table.from_pylist],
    ids=["polars", "pandas", "arrow"],
)
def test_features_of_any_events_are_those_of_the_training_set(
    connection: Connection, given: Callable[[Any], Any]
) -> None:
    """The same code path: what the graph learned from comes out again, in the library and the order that went in."""
    learned = connection.training_set(_SET).to_polars().sort("order_id").head(3).to_dicts()
    asked = [{"order_id": row["order_id"], "event_time": row["event_time"]} for row in reversed(learned)]

    found = connection.features(given(asked), _SET)

    assert type(found) is type(given(asked))
    rows = found.to_pylist() if isinstance(found, pa.Table) else _records(found)
    names = ["order_id", "amount", "store", "recent_amount"]
    expected = [[row[name] for name in names] for row in reversed(learned)]
    assert [[None if row[name] != row[name] else row[name] for name in names] for row in rows] == expected
    if isinstance(found, pd.DataFrame):
        assert found.index.tolist() == [7, 3, 5]


def _records(frame: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame.to_dict("records")
    return found


def test_one_view_gives_its_own_features_only(connection: Connection) -> None:
    (order,) = connection.table("silver/orders", where="order_id = '2024-04-055'").to_arrow().to_pylist()

    found = connection.features(
        pl.DataFrame([{"order_id": order["order_id"], "event_time": order["event_time"]}]), "features/order_v1"
    )

    assert found.columns == ["order_id", "event_time", "amount", "store"]
    assert found["amount"].to_list() == [order["amount"]]


def test_a_split_of_a_training_set(connection: Connection) -> None:
    found = connection.training_set(_SET, split="test").to_polars()

    assert found["split"].unique().to_list() == ["test"]
    assert found.height == shop.ORDERS_A_MONTH


def test_a_model_answers_as_the_graph_s_job_does(connection: Connection, project: Project) -> None:
    assert project.run('key:"predictions/returns"', shop.EVERYTHING).success
    batch = connection.table("predictions/returns").to_polars()
    model = connection.model("returns@champion")

    answers = model.predict(batch)

    assert answers.to_list() == batch["prediction"].to_list()
    assert (model.version.number, "champion" in model.version.aliases) == (1, True)
    assert model.card.label == "returned"
    assert connection.model("models/returns@1").version.digest == model.version.digest


def test_what_is_not_there_is_told_with_the_nearest_name(connection: Connection) -> None:
    events = pl.DataFrame([{"order_id": "x"}])
    with pytest.raises(NotFoundError, match="Did you mean features/order_v1"):
        connection.features(events, "features/order_v2")
    with pytest.raises(NotFoundError, match="Did you mean amount"):
        connection.table("silver/orders", columns=["amuont"])
    with pytest.raises(NotFoundError, match="Did you mean champion"):
        connection.model("returns@champio")
    with pytest.raises(NotFoundError, match=r"no split 'tset'\. Did you mean test"):
        connection.training_set(_SET, split="tset")
    with pytest.raises(NotFoundError, match="silver/order "):
        connection.table("silver/order")
    with pytest.raises(DeclarationError, match="is a Table"):
        connection.training_set("silver/orders")
    with pytest.raises(AuditError, match="keyed by store"):
        connection.features(events.with_columns(at=_MOMENT), "features/store_recent_v1", event_time="at")


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ({"at": [_MOMENT]}, "event_time is not among the events' columns"),
        ({"event_time": [_MOMENT.replace(tzinfo=None)]}, "without its time zone"),
        ({"event_time": ["2024-04-20"]}, "is of type String"),
    ],
    ids=["none", "local", "text"],
)
def test_an_event_needs_a_moment_with_its_time_zone(
    connection: Connection, events: dict[str, list[Any]], told: str
) -> None:
    with pytest.raises(AuditError, match=told):
        connection.features(pl.DataFrame({"order_id": ["x"], **events}), "features/order_v1")


def test_a_moment_may_be_in_any_time_zone_and_stays_in_it(connection: Connection) -> None:
    events = pl.DataFrame({"order_id": ["2024-04-055"], "event_time": [_MOMENT]})
    moved = events.with_columns(pl.col("event_time").dt.convert_time_zone("Asia/Tokyo"))

    found = connection.features(moved, "features/order_v1")

    assert found["amount"].to_list() == connection.features(events, "features/order_v1")["amount"].to_list() != [None]
    assert found["event_time"].dtype == pl.Datetime("us", "Asia/Tokyo")


def test_an_environment_and_a_profile_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="silver/orders"):
        connect("prod").table("silver/orders")
    with pytest.raises(BindingError, match="nowhere"):
        connect("prod", profile="nowhere")
    with pytest.raises(BindingError, match="Prod"):
        connect("Prod")


def test_what_is_connected_to_is_not_what_the_process_goes_on_with(
    monkeypatch: pytest.MonkeyPatch, scratch_home: Path
) -> None:
    from ml_platform.binding import environment

    monkeypatch.setenv("ML_PLATFORM_ENV", "dev-ann")
    location = connect("prod")._lakehouse.table("x").uri

    assert "/prod/" in location
    assert environment() == "dev-ann"
