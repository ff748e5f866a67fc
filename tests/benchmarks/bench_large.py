"""The benchmark of a table that is larger than memory: TPC-H's lineitem at scale factor 10, 60 million rows, from
bronze through a keyed, partitioned silver table to a gold one, in one process; the goal is less than 2 GiB resident.

`ML_PLATFORM_BENCH_SCALE` is another scale factor."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
from kept import keep, peak_mb
from tpch import table

from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import make
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

GOAL_MB = 2048
SCALE = int(os.environ.get("ML_PLATFORM_BENCH_SCALE", "10"))
YEARS = [str(year) for year in range(1992, 1999)]
SILVER = """SELECT * EXCLUDE (l_comment, l_shipinstruct), strftime(l_shipdate, '%Y') AS year FROM bronze.lineitem"""
GOLD = """SELECT l_returnflag, l_linestatus, year, sum(l_quantity) AS quantity,
    sum(l_extendedprice * (1 - l_discount)) AS revenue, count(*) AS rows
    FROM silver.lineitem GROUP BY l_returnflag, l_linestatus, year"""


def main() -> None:
    """Keeps the seconds and the most memory so far after each step, and fails above the goal."""
    with tempfile.TemporaryDirectory() as root:
        lakehouse, compute = EmbeddedLakehouse(root), EmbeddedCompute()
        source, location = (
            pq.ParquetFile(table("lineitem", SCALE), pre_buffer=False),
            lakehouse.table("bronze/lineitem"),
        )

        def bronze() -> int:
            staged = stage(source.iter_batches(), source.schema_arrow, location)
            return delta.commit(staged, read=None, replaced=(), transactions={}, evidence={}).rows_added

        def silver() -> int:
            shape = Shape(("l_orderkey", "l_linenumber"), "year")
            recipe = Recipe("silver/lineitem", ("bronze/lineitem",), shape, "bench", query=SILVER)
            return make(recipe, YEARS, YEARS, lakehouse, compute).snapshot.rows

        def gold() -> int:
            shape = Shape(("l_returnflag", "l_linestatus", "year"), "year")
            recipe = Recipe("gold/lineitem", ("silver/lineitem",), shape, "bench", query=GOLD)
            return make(recipe, YEARS, YEARS, lakehouse, compute).snapshot.rows

        figures = {step.__name__: _measured(step) for step in (bronze, silver, gold)}
    keep("large", {"goal_mb": GOAL_MB, "scale_factor": SCALE, **figures})
    if figures["bronze"]["rows"] != figures["silver"]["rows"]:
        raise AssertionError("silver lost rows")
    if figures["gold"]["peak_mb"] > GOAL_MB:
        raise AssertionError(f"{figures['gold']['peak_mb']} MB were resident, the goal is {GOAL_MB}")


def _measured(step: Callable[[], int]) -> dict[str, Any]:
    started = time.monotonic()
    rows = step()
    return {"rows": rows, "wall_seconds": round(time.monotonic() - started, 1), "peak_mb": peak_mb()}


if __name__ == "__main__":
    main()
