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
    shop.change("features/order_v1/defs.yaml", "amount: number", "sum: number")
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
