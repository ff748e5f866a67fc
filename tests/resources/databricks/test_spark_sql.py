from __future__ import annotations

import pytest

from ml_platform.engine.merge_plan import joined
from ml_platform.engine.plan import Shape, rows
from ml_platform.errors import ServiceError
from resources.databricks.spark_sql import spark_sql

COLUMNS = {
    "bronze.delays": ["flight", "delay", "month"],
    "incoming.rows": ["flight", "delay", "month"],
    "standing.rows": ["flight", "month", "old"],
}


def test_a_table_is_read_as_a_view_that_no_other_query_has() -> None:
    assert "FROM `bronze__delays_7` AS `delays`" in spark_sql("SELECT flight FROM bronze.delays", COLUMNS, "_7")


def test_a_table_that_is_no_input_is_left_for_spark_to_miss() -> None:
    assert "`bronze__planes`" in spark_sql("SELECT plane FROM bronze.planes", COLUMNS)


def test_order_by_all_is_every_column_with_null_last() -> None:
    query = spark_sql(rows("SELECT delay, flight FROM bronze.delays", Shape(), [], []), COLUMNS)
    assert query.endswith("ORDER BY `delay` NULLS LAST, `flight` NULLS LAST")


def test_a_distinct_is_ordered_by_its_own_columns() -> None:
    query = spark_sql(
        rows(
            "SELECT flight, month FROM bronze.delays", Shape(("flight",), "month"), ["2013-01"], ["2013-01", "2013-02"]
        ),
        COLUMNS,
    )
    assert query.endswith("ORDER BY `month` NULLS LAST, `flight` NULLS LAST")


def test_a_union_by_name_is_one_by_position() -> None:
    shape = Shape(("flight",), "month", write="merge")
    query = spark_sql(joined(shape, ["flight", "delay", "month"]), COLUMNS)
    assert "UNION ALL" in query
    assert "BY NAME" not in query
    assert "NULL AS `delay`" in query  # the standing rows have no such column


def test_what_is_no_sql_is_a_service_error() -> None:
    with pytest.raises(ServiceError, match="cannot be said in Spark's dialect"):
        spark_sql("SELECT FROM WHERE", {})
