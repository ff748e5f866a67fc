from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, declaration

TOTALS = "gold/totals/totals.sql"


def refused(shop: Project, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions


def test_unknown_table_in_a_query_is_named_with_its_line_and_the_nearest(shop: Project) -> None:
    shop.write(TOTALS, "SELECT count(*) AS orders\nFROM silver.order\n")
    refused(shop, "gold/totals/totals.sql:2: it reads 'silver/order', but .*Did you mean silver/orders")


def test_a_query_that_looks_over_partitions_is_refused_unless_it_says_how_far(shop: Project) -> None:
    declared, query = "gold/running/defs.yaml", "gold/running/running.sql"
    shop.write(declared, declaration("Table", "description: So far.\npartitioned: true"))
    window = "sum(amount) OVER (PARTITION BY store ORDER BY event_time)"
    shop.write(query, f"SELECT month, store,\n  {window} AS so_far\nFROM silver.orders\n")
    refused(
        shop, r"gold/running/running.sql:2: SUM\(amount\) OVER .* looks over rows of several partitions, but each is"
    )
    # within a month, or as far as is declared, or of the whole
    shop.change(query, "PARTITION BY store", "PARTITION BY month, store")
    assert shop.node("gold/running")
    shop.change(query, "PARTITION BY month, store", "PARTITION BY store")
    shop.change(declared, "partitioned: true", "partitioned: true\n  reads_partitions: {before: 1}")
    assert shop.node("gold/running")
    shop.change(declared, "partitioned: true\n  reads_partitions: {before: 1}", "partitioned: false")
    assert shop.node("gold/running")


def test_table_without_its_layer_is_refused(shop: Project) -> None:
    shop.write(TOTALS, "SELECT count(*) AS orders\nFROM orders\n")
    refused(shop, "gold/totals/totals.sql.*'orders' is read, but it is no table of ours")


def test_text_that_is_no_sql_is_named_with_its_line(shop: Project) -> None:
    shop.write(TOTALS, "SELECT count(*)\nFROM WHERE silver.orders\n")
    refused(shop, "gold/totals/totals.sql:2: ")


def test_unknown_input_of_a_function_is_named_with_the_nearest(shop: Project) -> None:
    shop.change("gold/store_month/defs.yaml", "silver/orders", "silver/order")
    refused(shop, "gold/store_month/defs.yaml: it reads 'silver/order', but .*Did you mean silver/orders")


def test_table_that_reads_itself_is_refused(shop: Project) -> None:
    shop.write(TOTALS, "SELECT * FROM gold.totals")
    refused(shop, "gold/totals/totals.sql:1: it reads gold/totals, but a table is not made from itself")


def test_both_a_query_and_a_function_are_refused(shop: Project) -> None:
    shop.write("gold/totals/totals.py", "")
    refused(shop, "gold/totals/defs.yaml: there is both totals.sql and totals.py")


def test_neither_a_query_nor_a_function_is_refused(shop: Project) -> None:
    shop.write("gold/more/defs.yaml", declaration("Table", "description: Nothing makes it."))
    refused(shop, "gold/more/defs.yaml: there is neither more.sql nor more.py")


def test_inputs_beside_a_query_are_refused(shop: Project) -> None:
    shop.write("gold/totals/defs.yaml", declaration("Table", "description: One row.\ninputs: [silver/orders]"))
    refused(shop, "gold/totals/defs.yaml: inputs are declared, but totals.sql says by itself what it reads")


def test_function_without_inputs_is_refused(shop: Project) -> None:
    shop.change("gold/store_month/defs.yaml", "  inputs: [silver/orders, bronze/stores]\n", "")
    refused(shop, "gold/store_month/defs.yaml: inputs are not declared")


def test_window_maps_a_partition_to_those_around_it(shop: Project) -> None:
    shop.change("features/store_recent_v1/defs.yaml", "{before: 1}", "{before: 1, after: 1}")
    mapping = shop.node("features/store_recent_v1").partition_mappings[shop.node("silver/orders").key]
    assert (mapping.start_offset, mapping.end_offset) == (-1, 1)


def test_window_on_an_unpartitioned_input_is_the_whole_of_it(shop: Project) -> None:
    shop.change("gold/store_month/defs.yaml", "[store, month]", "[store, month]\n  reads_partitions: {before: 1}")
    mapped = shop.node("gold/store_month").partition_mappings
    assert list(mapped) == [shop.node("silver/orders").key]


def test_function_of_another_name_fails_the_run(shop: Project) -> None:
    shop.change("gold/store_month/store_month.py", "def store_month(", "def month_store(")
    ran = shop.run('group:bronze or group:silver or key:"gold/store_month"', EVERYTHING)
    assert "store_month" in ran.failures["gold/store_month"]
