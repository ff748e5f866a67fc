from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project, Ran
from ml_platform.testing.shop import EVERYTHING, LANDING, Made, declaration, orders

TOTALS = "gold/totals/totals.sql"


def refused(shop: Project, message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        _ = shop.definitions
    assert message in str(raised.value)


def origins(ran: Ran, key: str) -> dict[str, set[str]]:
    """Column → the columns that it is made from, as the UI draws it."""
    lineage = ran.said[key]["dagster/column_lineage"]
    return {
        column: {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps}
        for column, deps in lineage.deps_by_column.items()
    }


def test_a_column_that_is_not_there_is_refused_by_file_and_line_with_the_nearest(shop: Project) -> None:
    shop.write(TOTALS, "SELECT\n  count(*) AS orders,\n  sum(amuont) AS amount\nFROM silver.orders\n")
    refused(
        shop, "gold/totals/totals.sql:3: it reads amuont, but nothing that it reads has such a column. Did you mean"
    )


def test_a_column_that_an_upstream_query_no_longer_makes_is_refused_where_it_is_read(shop: Project) -> None:
    shop.change("silver/orders/orders.sql", "amount, ", "")
    refused(shop, "it reads amount, but")


def test_what_a_function_does_not_declare_is_not_judged(shop: Project) -> None:
    shop.write("gold/after/defs.yaml", declaration("Table", "description: After a function."))
    shop.write("gold/after/after.sql", "SELECT anything FROM gold.store_month\n")
    _ = shop.definitions


def test_tables_that_are_made_from_each_other_are_refused_with_the_way_around(shop: Project) -> None:
    for one, other in (("one", "other"), ("other", "one")):
        shop.write(f"gold/{one}/defs.yaml", declaration("Table", "description: One of two."))
        shop.write(f"gold/{one}/{one}.sql", f"SELECT * FROM gold.{other}\n")
    refused(shop, "there is a circle, but nothing can be made from itself: gold/")


def test_lineage_leads_from_gold_over_silver_and_bronze_to_a_column_of_a_landed_file(made: Made) -> None:
    assert origins(made.first, "gold/totals")["amount"] == {"silver/orders.amount"}
    assert origins(made.first, "silver/orders")["amount"] == {"bronze/orders.amount"}
    assert origins(made.first, "bronze/orders")["amount"] == {"landing/shop.orders/*.csv: amount"}
    assert origins(made.first, "bronze/orders")["month"] == {"landing/shop.orders/*.csv: day"}


def test_lineage_leads_on_where_columns_are_added_and_chosen(shop: Project) -> None:
    shop.change("bronze/orders/defs.yaml", "partition_of: day", "partition_of: day\n  new_columns: add")
    shop.write("silver/orders/orders.sql", "SELECT * FROM bronze.orders\n")
    shop.write(TOTALS, "SELECT max(COLUMNS('^(amount|colour)$')), count(store) FROM silver.orders\n")
    header, row, _ = orders("2024-03", 1, 60).split("\n")
    shop.land(LANDING, "orders/2024-03-late.csv", f"{header},colour\n{row},blue\n")
    ran = shop.run('key:"bronze/orders" or key:"silver/orders" or key:"gold/totals"', EVERYTHING)
    assert ran.success, ran.failures
    assert origins(ran, "gold/totals")["amount"] == {"silver/orders.amount"}
    assert origins(ran, "gold/totals")["colour"] >= {"silver/orders.colour"}
    assert origins(ran, "gold/totals")["count(store)"] >= {"silver/orders.store"}
    assert origins(ran, "silver/orders")["colour"] == {"bronze/orders.colour"}
    assert origins(ran, "bronze/orders")["colour"] == {"landing/shop.orders/*.csv: colour"}


def test_lineage_of_features_and_training_sets_leads_to_their_tables(made: Made) -> None:
    assert origins(made.first, "features/store_recent_v1")["recent_amount"] >= {"silver/orders.amount"}
    training = origins(made.first, "training_sets/returns")
    assert training["recent_amount"] == {"features/store_recent_v1.recent_amount"}
    assert training["returned"] == {"silver/orders.returned"}
