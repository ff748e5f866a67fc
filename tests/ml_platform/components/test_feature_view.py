from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.records.feature import FeatureView, LookUp
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, FILES, MONTHS, Made

ORDER = FeatureView("order_v1", ("order_id",), ("amount", "store"), 24)


def test_view_stands_in_the_graph_as_a_table_of_features(made: Made) -> None:
    node = made.project.node("features/order_v1")
    assert node.kinds == {"deltalake", "sql", "features"}
    assert {key.to_user_string() for key in node.parent_keys} == {"silver/orders"}
    assert node.metadata["entity"] == ["order_id"]
    mapping = made.project.node("features/store_recent_v1").partition_mappings[made.project.node("silver/orders").key]
    assert (mapping.start_offset, mapping.end_offset) == (-1, 0)


def test_view_says_what_it_holds_and_what_stands_online(made: Made) -> None:
    said = made.first.said["features/order_v1"]
    assert said["dagster/row_count"] == 240
    # the clock stands at April 30, 00:00; the view keeps 480 hours of history and its ttl of 24 hours: 21 days
    assert said["online_since"] == "2024-04-09 00:00:00+00:00"
    # every eight hours an order, from April 1, 06:00 to April 20, 22:00: those of April 9, 06:00 on are 12 days of 3
    assert said["online_rows"] == 36
    assert said["published"] is True
    assert made.again.said["features/order_v1"]["published"] is False
    each = made.first.partitions["features/order_v1"]
    assert {month: it["dagster/partition_row_count"] for month, it in each.items()} == dict.fromkeys(MONTHS, 60)


def test_published_row_is_found_online_as_of_its_moment(made: Made) -> None:
    store = made.project.service("feature_store")
    at = datetime(2024, 4, 10, 6, tzinfo=UTC)
    (found,) = store.look_up(LookUp(ORDER, [("2024-04-027",)], [at]))
    assert found.values == {"amount": float(27 * 37 % 100), "store": "north"}


def test_second_row_of_an_entity_and_moment_fails_the_run(tables: Project) -> None:
    query = FILES["features/order_v1/order_v1.sql"]
    tables.write("features/order_v1/order_v1.sql", f"{query} UNION ALL {query.replace(' amount,', ' amount + 1,')}")
    ran = tables.run('key:"features/order_v1"', EVERYTHING)
    assert "features/order_v1 has 240 keys that break its key" in ran.failures["features/order_v1"]


def test_declared_feature_that_the_query_does_not_give_is_refused(shop: Project) -> None:
    shop.change("features/order_v1/defs.yaml", "store: category", "store: category, sum: number")
    with pytest.raises(DeclarationError, match=r"features/order_v1/defs.yaml: it builds on a column sum, but there"):
        _ = shop.definitions


def test_folder_without_a_version_is_refused(shop: Project) -> None:
    shop.write("features/order/defs.yaml", FILES["features/order_v1/defs.yaml"])
    shop.write("features/order/order.sql", FILES["features/order_v1/order_v1.sql"])
    with pytest.raises(DeclarationError, match=r"features/order/defs.yaml: the folder is 'order', but .*its version"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ttl_hours: 24", "ttl_hours: 0", "ttl_hours is 0"),
        ("amount: number", "amount: float", "features.amount is 'float'"),
        ("[order_id]", "[]", r"entity is \[\]"),
        ("ttl_hours", "ttl_days", "ttl_hours is missing"),
    ],
)
def test_wrong_field_is_refused_by_file_and_line(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("features/order_v1/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"features/order_v1/defs.yaml:\d+: {message}"):
        _ = shop.definitions


_WINDOWED = """\
type: ml_platform.components.FeatureView

attributes:
  description: What the store sold in ten days.
  entity: [store]
  aggregates:
    sold_amount: {function: sum, of: amount, over_hours: 240}
    sold_orders: {function: count, over_hours: 240}
  ttl_hours: 240
"""
_SINGLE = "SELECT store, event_time, known_at, amount, month FROM silver.orders\n"


def test_declared_aggregates_are_right_offline_and_online_at_any_moment(tables: Project) -> None:
    # given three orders a day, from 6:00 on, each of another store and known an hour later; month after month
    tables.write("features/store_sold_v1/defs.yaml", _WINDOWED)
    tables.write("features/store_sold_v1/store_sold_v1.sql", _SINGLE)
    node = tables.node("features/store_sold_v1").partition_mappings[tables.node("silver/orders").key]
    assert (node.start_offset, node.end_offset) == (-1, 1)
    # when the view is made
    ran = tables.run('key:"features/store_sold_v1"', EVERYTHING)
    assert ran.success, ran.failures
    # then north has ten orders of ten days in its window, but for the hour in which the newest is not known
    view = FeatureView("store_sold_v1", ("store",), ("sold_amount", "sold_orders"), 240)
    moments = [datetime(2024, 4, 20, hour, minute, tzinfo=UTC) for hour, minute in ((6, 0), (6, 1), (7, 0), (23, 0))]
    found = tables.service("feature_store").look_up(LookUp(view, [("north",)] * 4, moments))
    assert [row.values["sold_orders"] for row in found] == [10, 9, 10, 10]
    orders = {row["event_time"]: row["amount"] for row in tables.rows("silver/orders") if row["store"] == "north"}
    for row, moment, held in zip(found, moments, ((10, 20), (11, 20), (11, 21), (11, 21)), strict=True):
        days = [datetime(2024, 4, day, 6, tzinfo=UTC) for day in range(*held)]
        assert row.values["sold_amount"] == sum(orders[day] for day in days), moment
    # and offline stands what is online, each moment once, however the partitions divide it
    rows = tables.rows("features/store_sold_v1")
    assert len({(row["store"], row["event_time"]) for row in rows}) == len(rows)
    assert {(row["store"], row["event_time"]): row["sold_amount"] for row in rows if row["store"] == "north"}[
        "north", found[0].event_time
    ] == found[0].values["sold_amount"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ttl_hours: 240", "ttl_hours: 239", "sold_amount is over 240 hours, but .* forgotten after ttl_hours, 239"),
        ("  ttl_hours", "  features: {amount: number}\n  ttl_hours", "both features and aggregates are declared"),
        ("of: amount", "of: amuont", "amuont"),
        ("function: sum", "function: median", "function is 'median'"),
    ],
)
def test_aggregates_that_cannot_be_are_refused(shop: Project, old: str, new: str, message: str) -> None:
    shop.write("features/store_sold_v1/defs.yaml", _WINDOWED.replace(old, new))
    shop.write("features/store_sold_v1/store_sold_v1.sql", _SINGLE)
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions


def test_aggregates_of_a_function_are_refused(shop: Project) -> None:
    shop.write("features/store_sold_v1/defs.yaml", _WINDOWED + "  inputs: [silver/orders]\n")
    shop.write("features/store_sold_v1/store_sold_v1.py", "def store_sold_v1(orders):\n    return orders\n")
    with pytest.raises(DeclarationError, match="aggregates are declared, but they are of the rows of a query"):
        _ = shop.definitions
