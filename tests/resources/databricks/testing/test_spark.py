from __future__ import annotations

from resources.databricks.testing.spark import spark


def test_a_spark_connect_server_answers() -> None:
    from pyspark.sql.connect.session import SparkSession

    with spark() as address:
        session = SparkSession.builder.remote(address).create()
        assert session.sql("SELECT 1 + 1 AS two").collect()[0]["two"] == 2
        session.stop()
