"""The benchmark of queries over Delta tables: TPC-H's Q1, Q3 and Q5 through the embedded compute beside DuckDB over the
same Parquet files; the goal is 1.2 times its wall time at the median."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from kept import keep
from tpch import table

from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.records.table import TableSnapshot
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

GOAL = 1.2
_TIMES = 9
_TABLES = ("customer", "lineitem", "nation", "orders", "region", "supplier")
QUERIES = {
    "q1": """
        SELECT l_returnflag, l_linestatus, sum(l_quantity) AS quantity, sum(l_extendedprice) AS price,
            sum(l_extendedprice * (1 - l_discount)) AS discounted,
            sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS charged,
            avg(l_quantity) AS mean_quantity, avg(l_extendedprice) AS mean_price, avg(l_discount) AS mean_discount,
            count(*) AS orders
        FROM bronze.lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL 90 DAY
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "q3": """
        SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
        FROM bronze.customer, bronze.orders, bronze.lineitem
        WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
            AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
        GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10""",
    "q5": """
        SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
        FROM bronze.customer, bronze.orders, bronze.lineitem, bronze.supplier, bronze.nation, bronze.region
        WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey
            AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey
            AND r_name = 'ASIA' AND o_orderdate >= DATE '1994-01-01' AND o_orderdate < DATE '1995-01-01'
        GROUP BY n_name ORDER BY revenue DESC""",
}


def bare(connection: duckdb.DuckDBPyConnection, query: str, files: dict[str, list[str]]) -> pa.Table:
    """The rows by DuckDB alone, which is open already, a view over the Parquet files for each table."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS bronze")
    for name, paths in files.items():
        connection.execute(f"CREATE OR REPLACE VIEW bronze.{name} AS SELECT * FROM read_parquet({paths})")
    return connection.sql(query).to_arrow_table()


def main() -> None:
    """Keeps the median seconds of both and their ratio, for each query."""
    with tempfile.TemporaryDirectory() as root, duckdb.connect() as connection:
        lakehouse, compute = EmbeddedLakehouse(root), EmbeddedCompute()
        for name in _TABLES:
            source, location = pq.ParquetFile(table(name, 1)), lakehouse.table(f"bronze/{name}")
            staged = stage(source.iter_batches(), source.schema_arrow, location)
            delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})

        def read(query: str) -> dict[str, TableSnapshot]:
            locations = {name: lakehouse.table(f"bronze/{name}") for name in _TABLES if f"bronze.{name}" in query}
            return {name: delta.existing(location) for name, location in locations.items()}

        def ours(query: str) -> pa.Table:
            return compute.fetch(query, {f"bronze.{name}": snapshot for name, snapshot in read(query).items()})

        figures = {}
        for name, query in QUERIES.items():
            files = {of: [f"{s.location.uri}/{file.path}" for file in s.files] for of, s in read(query).items()}
            if not ours(query).equals(bare(connection, query, files)):
                raise AssertionError(f"{name} gives other rows")
            figures[name] = _beside(partial(ours, query), partial(bare, connection, query, files))
        keep("gold", {"goal_ratio": GOAL, **figures})


def _beside(ours: Callable[[], Any], theirs: Callable[[], Any]) -> dict[str, float]:
    """The median seconds of both, in turn, and how many times theirs ours are; the same of CPU seconds."""
    taken: dict[str, list[float]] = {}
    for _ in range(_TIMES):
        for name, work in (("ours", ours), ("duckdb", theirs)):
            started, cpu = time.perf_counter(), time.process_time()
            work()
            taken.setdefault(f"{name}_seconds", []).append(time.perf_counter() - started)
            taken.setdefault(f"{name}_cpu_seconds", []).append(time.process_time() - cpu)
    found = {name: round(statistics.median(times), 4) for name, times in taken.items()}
    ratio = round(found["ours_seconds"] / found["duckdb_seconds"], 3)
    return {**found, "ratio": ratio, "cpu_ratio": round(found["ours_cpu_seconds"] / found["duckdb_cpu_seconds"], 3)}


if __name__ == "__main__":
    main()
