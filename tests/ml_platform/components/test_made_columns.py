from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, declaration

DEFS = "gold/store_month/defs.yaml"
COLUMNS = """\
  columns:
    store: {type: string, made_from: [silver.orders.store]}
    month: {type: string}
    orders: {type: int64, made_from: [silver.orders.order_id]}
    amount: {type: float64, made_from: [silver.orders.amount]}
    size: {type: int32, made_from: [bronze.stores.size]}
"""


@pytest.fixture
def declared(shop: Project) -> Project:
    """The shop, whose function declares its columns."""
    shop.write(DEFS, (shop.root / DEFS).read_text() + COLUMNS)
    return shop


def refused(shop: Project, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        _ = shop.definitions
    assert message in str(raised.value)


def test_what_a_function_declares_is_its_lineage_and_what_others_may_read(declared: Project) -> None:
    ran = declared.run('+key:"gold/store_month"', EVERYTHING)
    # Polars counts in unsigned integers, which is no type of a table's
    assert "gold/store_month has orders as uint32, but it declares int64" in ran.failures["gold/store_month"]
    function = "gold/store_month/store_month.py"
    declared.change(function, 'pl.len().alias("orders")', 'pl.len().cast(pl.Int64).alias("orders")')
    ran = declared.run('key:"gold/store_month"', EVERYTHING)
    assert ran.success, ran.failures
    lineage = ran.said["gold/store_month"]["dagster/column_lineage"].deps_by_column
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["size"]] == [("bronze/stores", "size")]


def test_a_column_made_from_what_is_not_there_is_refused_with_the_nearest(declared: Project) -> None:
    declared.change(DEFS, "silver.orders.amount", "silver.orders.amuont")
    refused(declared, "made from silver.orders.amuont, but silver/orders has no such column. Did you mean amount?")
    declared.change(DEFS, "silver.orders.amuont", "silver.order.amount")
    refused(
        declared, "made from silver.order.amount, but silver/order is none of its inputs. Did you mean silver/orders?"
    )


def test_a_column_that_a_declared_function_does_not_make_is_refused_where_it_is_read(declared: Project) -> None:
    declared.write("gold/after/defs.yaml", declaration("Table", "description: After a function."))
    declared.write("gold/after/after.sql", "SELECT sise FROM gold.store_month\n")
    refused(
        declared,
        "gold/after/after.sql:1: it reads sise, but nothing that it reads has such a column. Did you mean size",
    )


def test_a_history_has_the_times_of_an_interval_for_the_moment_it_is_made_by(shop: Project) -> None:
    shop.write(
        "silver/prices/defs.yaml",
        declaration("Table", "description: What orders were.\nkey: [order_id]\nwrite: history\nnewest: known_at"),
    )
    shop.write("silver/prices/prices.sql", "SELECT order_id, amount, known_at FROM bronze.orders\n")
    shop.write("gold/after/defs.yaml", declaration("Table", "description: After a history."))
    shop.write("gold/after/after.sql", "SELECT amount, valid_from, is_current FROM silver.prices\n")
    _ = shop.definitions
    shop.write("gold/after/after.sql", "SELECT known_at FROM silver.prices\n")
    refused(shop, "gold/after/after.sql:1: it reads known_at, but")
    shop.change("silver/prices/defs.yaml", "newest: known_at", "newest: known")
    refused(shop, "silver/prices/defs.yaml: it builds on a column known, but there is none. Did you mean known_at?")
