from __future__ import annotations

import re

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, MONTHS, ORDERS_A_MONTH, Made, orders, stores


def test_source_stands_in_the_graph_below_its_landing_folder(made: Made) -> None:
    node = made.project.node("bronze/orders")
    assert {key.to_user_string() for key in node.parent_keys} == {LANDING}
    assert node.kinds == {"deltalake", "bronze"}
    assert node.partitions_def.get_partition_keys() == list(MONTHS)
    assert made.project.node("bronze/stores").partitions_def is None


def test_source_says_its_rows_columns_place_and_files(made: Made) -> None:
    said = made.first.said["bronze/orders"]
    assert said["outcome"] == "240 rows added, 0 removed"
    assert said["dagster/row_count"] == len(MONTHS) * ORDERS_A_MONTH
    assert said["dagster/table_name"] == "bronze.orders"
    assert said["dagster/uri"] == made.project.lakehouse.table("bronze/orders").uri
    assert (said["files_ingested"], said["files_offered"], said["table_version"]) == (4, 4, 0)
    columns = {column.name: column.type for column in said["dagster/column_schema"].columns}
    assert columns["amount"] == "double"
    assert columns["month"] == "string"
    assert {"_source_file", "_source_offset", "_ingested_at"} <= set(columns)
    assert said["seconds"] > 0


def test_each_partition_has_its_own_count_and_data_version(made: Made) -> None:
    each = made.first.partitions["bronze/orders"]
    assert {month: said["dagster/partition_row_count"] for month, said in each.items()} == dict.fromkeys(MONTHS, 60)
    assert {said["partition_outcome"] for said in each.values()} == {"made"}
    assert len({said["partition_data_version"] for said in each.values()}) == len(MONTHS)
    again = made.again.partitions["bronze/orders"]
    assert {said["partition_outcome"] for said in again.values()} == {"unchanged"}
    assert again["2024-02"]["partition_data_version"] == each["2024-02"]["partition_data_version"]


def test_row_names_its_file_and_its_place_in_it(made: Made) -> None:
    row = next(row for row in made.project.rows("bronze/orders") if row["order_id"] == "2024-03-007")
    assert (row["_source_file"], row["_source_offset"], row["month"]) == ("orders/2024-03.csv", 7, "2024-03")


def test_file_offered_again_gives_no_row(made: Made) -> None:
    assert len(made.project.rows("bronze/orders")) == len(MONTHS) * ORDERS_A_MONTH
    assert made.again.said["bronze/orders"]["files_ingested"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (orders("2024-02").replace("returned", "came_back"), "orders/2024-02.csv has no column returned"),
        (orders("2024-02").replace(",37.0,", ",much,"), "orders/2024-02.csv cannot be read as declared"),
        (orders("2024-02")[:-20], "orders/2024-02.csv is cut off"),
    ],
)
def test_damaged_file_fails_the_run_and_ingests_nothing(shop: Project, text: str, message: str) -> None:
    shop.land(LANDING, "orders/2024-02.csv", text)
    ran = shop.run("group:bronze or group:silver", EVERYTHING)
    assert not ran.success
    assert message in ran.failures["bronze/orders"]
    assert set(ran.said) == {"bronze/stores"}


def test_missing_files_fail_the_run(shop: Project) -> None:
    shop.change("bronze/stores/defs.yaml", "stores/*.csv", "shops/*.csv")
    ran = shop.run("bronze/stores")
    assert (
        "bronze/stores reads shops/*.csv, but no landed file of landing/shop matches it"
        in ran.failures["bronze/stores"]
    )


def test_file_that_changed_after_its_ingest_fails_the_run(shop: Project) -> None:
    assert shop.run("bronze/stores").success
    shop.land(LANDING, "stores/stores.csv", stores().replace("north,5", "north,6"))
    assert "a landed file never changes" in shop.run("bronze/stores").failures["bronze/stores"]
    assert len(shop.rows("bronze/stores")) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("event_time: event_time", "event_time: evnt_time", "event_time is 'evnt_time'.*Did you mean event_time"),
        ("partition_of: day", "partition_of: store", "partition_of is 'store', a string, but a month is taken from"),
        ("partition_of: day", "partition_of: dya", "partition_of is 'dya'.*Did you mean day"),
        ("amount: float64", "amount: flaot", "columns.amount is 'flaot', but that cannot be"),
    ],
)
def test_wrong_column_is_refused_when_definitions_load(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("bronze/orders/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"bronze/orders/defs.yaml.*{message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Size", "columns has size and Size, but no two columns of a table differ in case only"),
        ("_Sequence", "columns has _Sequence, but the table has _sequence beside those of its files"),
        ("_sequence", "columns has _sequence, but the table has _sequence beside those of its files"),
    ],
)
def test_a_column_that_another_has_but_for_case_is_refused_by_line(shop: Project, name: str, said: str) -> None:
    shop.change("bronze/stores/defs.yaml", "size: int32", f"size: int32, {name}: int32")
    with pytest.raises(DeclarationError, match=rf"stores/defs\.yaml:\d+: {said}"):
        _ = shop.definitions


@pytest.mark.parametrize("kind", ["strng", "decimal", "decimal(39,2)", "decimal(3,4)"])
def test_a_type_that_is_none_is_refused_with_those_that_are(shop: Project, kind: str) -> None:
    shop.change("bronze/stores/defs.yaml", "size: int32", f"size: '{kind}'")
    said = rf"stores/defs\.yaml:\d+: columns\.size is '{re.escape(kind)}', but .* types are string, .* decimal\(15,2\)"
    with pytest.raises(DeclarationError, match=said):
        _ = shop.definitions
