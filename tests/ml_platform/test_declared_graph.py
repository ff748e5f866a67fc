from __future__ import annotations

import dagster as dg
import pytest

from ml_platform.declared_graph import declared_graph
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project


def test_what_rows_are_followed_by_is_taken_from_the_declarations(shop: Project) -> None:
    found = declared_graph(shop.definitions)
    assert found.entities["silver/orders"] == ("order_id",)
    assert found.entities["predictions/returns"] == found.entities["training_sets/returns"] == ("order_id",)
    assert sorted(found.views) == ["features/order_v1", "features/store_recent_v1"]
    assert found.sources["bronze/orders"].landing == "landing/shop"
    query = found.query("silver/orders")
    assert query is not None
    assert query.text.startswith("SELECT order_id, store")
    assert query.code == shop.node("silver/orders").code_version
    assert found.query("gold/store_month") is None
    assert found.origins("features/order_v1")["known_at"] == (("silver/orders", "event_time"),)
    assert found.origins("training_sets/returns")["amount"] == (("features/order_v1", "amount"),)
    assert found.origins("predictions/returns")["order_id"] == (("silver/orders", "order_id"),)


def test_the_query_of_aggregates_is_no_plain_one(shop: Project) -> None:
    shop.write(
        "features/store_day_v1/store_day_v1.sql",
        "SELECT store, event_time, known_at, amount, month FROM silver.orders\n",
    )
    shop.write(
        "features/store_day_v1/defs.yaml",
        "type: ml_platform.components.FeatureView\n\nattributes:\n  description: What the store did.\n"
        "  entity: [store]\n  aggregates:\n    store_day_count: {function: count, over_hours: 24}\n  ttl_hours: 24\n",
    )
    assert declared_graph(shop.definitions).query("features/store_day_v1") is None


def test_what_a_log_hides_is_known_to_whoever_erases(shop: Project) -> None:
    assert declared_graph(shop.definitions).redacted == {}
    request = "request: {order_id: string}"
    shop.change("endpoints/returns/defs.yaml", request, f"{request}\n  log: {{redact: [order_id]}}")
    assert declared_graph(shop.definitions).redacted == {"returns": ["order_id"]}


def test_definitions_of_another_kind_are_refused() -> None:
    with pytest.raises(DeclarationError, match="the definitions have no declarations behind them"):
        declared_graph(dg.Definitions())
