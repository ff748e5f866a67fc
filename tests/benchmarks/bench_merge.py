"""The benchmark of a merge: 1 % and 10 % of the keys of TPC-H's lineitem (6 million rows) changed, clustered and
scattered, by the engine, by deltalake's merge and by an anti-join that rewrites; each in a process of its own, side by
side, and each takes the digests of the files that it writes; the ratios of wall time and of CPU time are kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from kept import keep, peak_mb
from tpch import table

from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.row_wise import driven
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import make
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

KEY = ("l_orderkey", "l_linenumber")
SAME = " AND ".join(f"t.{column} = s.{column}" for column in KEY)
# Layout → which rows change; those with clustered keys are in a table that is partitioned by month.
CHANGED = {
    "clustered": "SELECT * FROM base ORDER BY month, l_orderkey, l_linenumber LIMIT {rows} OFFSET 1000000",
    "scattered": "SELECT * FROM base WHERE hash(l_orderkey, l_linenumber) % 100 < {share}",
}
GOALS = {"clustered": 1 / 3, "scattered": 1.0}
SHARES = (1, 10)
WAYS = ("engine", "merge", "merge_unstreamed", "merge_ranges", "anti_join")
# Ranges prune nothing of scattered keys; the goal for clustered ones is against deltalake's merge.
LEFT_OUT = (("scattered", "merge_ranges"), ("clustered", "anti_join"))
TRIES = 3


def prepared(folder: Path) -> None:
    """The table in both layouts, as the engine made it, and the changes to it as Parquet files."""
    with duckdb.connect(str(folder / "base.duckdb")) as connection:
        connection.execute(
            "CREATE VIEW base AS SELECT *, CAST(0 AS BIGINT) AS changed_at, strftime(l_shipdate, '%Y-%m') AS month "
            f"FROM '{table('lineitem', 1)}'"
        )
        for layout, query in CHANGED.items():
            for share in SHARES:
                rows = query.format(rows=60_012 * share, share=share)
                changed = f"SELECT * REPLACE (1::BIGINT AS changed_at, upper(l_comment) AS l_comment) FROM ({rows})"
                connection.execute(f"COPY ({changed}) TO '{folder}/{layout}-{share}.parquet'")
            order = "month, " if layout == "clustered" else ""
            reader = connection.sql(f"SELECT * FROM base ORDER BY {order}{', '.join(KEY)}").to_arrow_reader(122_880)
            landed(folder / layout, reader, reader.schema, layout)
            engine(folder / layout, layout, folder / "nothing")


def landed(home: Path, batches: Any, schema: pa.Schema, layout: str) -> None:
    """The rows stand in the bronze table, after those that do already."""
    location = EmbeddedLakehouse(str(home)).table("bronze/lineitem")
    staged = stage(batches, schema, location, ("month",) if layout == "clustered" else ())
    delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})


def silver(home: Path) -> DeltaTable:
    """The table that is merged into, as it stands."""
    return DeltaTable(EmbeddedLakehouse(str(home)).table("silver/lineitem").uri)


def engine(home: Path, layout: str, changes: Path) -> None:
    """What the platform does with a table that is declared to merge."""
    lakehouse = EmbeddedLakehouse(str(home))
    shape = Shape(KEY, "month" if layout == "clustered" else None, "merge", "changed_at")
    recipe = Recipe("silver/lineitem", ("bronze/lineitem",), shape, "1", "SELECT * FROM bronze.lineitem")
    months = [f"{year}-{month:02}" for year in range(1992, 1999) for month in range(1, 13)]
    every = months if layout == "clustered" else [""]
    make(recipe, every, every, lakehouse, EmbeddedCompute())


def merge(home: Path, layout: str, changes: Path, *, streamed: bool = True, ranges: bool = False) -> None:
    """deltalake's merge, with the partition named where the table has any."""
    source = pq.read_table(changes)
    predicate = f"t.month = s.month AND {SAME}" if layout == "clustered" else SAME
    if ranges:
        months = ", ".join(f"'{month}'" for month in sorted(set(source["month"].to_pylist())))
        low, high = (f(source["l_orderkey"].to_pylist()) for f in (min, max))
        predicate = f"t.month IN ({months}) AND t.l_orderkey BETWEEN {low} AND {high} AND {predicate}"
    silver(home).merge(
        source, predicate, source_alias="s", target_alias="t", streamed_exec=streamed
    ).when_matched_update_all("s.changed_at >= t.changed_at").when_not_matched_insert_all().execute()


def anti_join(home: Path, layout: str, changes: Path) -> None:
    """DuckDB rewrites the table, or the partitions that changes are in."""
    standing = silver(home)
    with duckdb.connect(config={"memory_limit": "2GiB"}) as connection:
        connection.execute(f"CREATE VIEW s AS SELECT * FROM '{changes}'")
        months = [row[0] for row in connection.execute("SELECT DISTINCT month FROM s").fetchall()]
        touched = [f for f in standing.file_uris() if layout == "scattered" or any(f"month={m}" in f for m in months)]
        connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet({touched})")
        rows = connection.sql(
            f"SELECT * FROM t WHERE NOT EXISTS (SELECT 1 FROM s WHERE {SAME} AND s.changed_at >= t.changed_at) "
            "UNION ALL BY NAME SELECT * FROM s"
        ).to_arrow_reader(122_880)
        listed = ", ".join(f"'{month}'" for month in months)
        predicate = f"month IN ({listed})" if layout == "clustered" else None
        write_deltalake(standing, rows, mode="overwrite", predicate=predicate)


def hashed(home: Path, way: Callable[[], None]) -> None:
    """The way, and the digest of every file that it wrote: the engine takes it of what it writes."""
    stood = set(silver(home).file_uris())
    way()
    for path in set(silver(home).file_uris()) - stood:
        hashlib.sha256(Path(path).read_bytes()).hexdigest()


def tried(folder: Path, way: str, layout: str, share: int) -> dict[str, float]:
    """Wall and CPU seconds of one way, and its peak memory, in a process and on a copy of the table of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        subprocess.run(["/bin/cp", "-rl", f"{folder / layout}/.", home], check=True)
        command = [sys.executable, __file__, way, home, layout, str(folder / f"{layout}-{share}.parquet")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def warm() -> None:
    """What the engine imports when it is first used is imported."""
    driven("SELECT * FROM bronze.lineitem")


def one(way: str, home: Path, layout: str, changes: Path) -> None:
    """Prints what it took, without the time to import and to land the changes."""
    ways: dict[str, Callable[[], None]] = {
        "engine": lambda: engine(home, layout, changes),
        "merge": lambda: merge(home, layout, changes),
        "merge_unstreamed": lambda: merge(home, layout, changes, streamed=False),
        "merge_ranges": lambda: merge(home, layout, changes, streamed=False, ranges=True),
        "anti_join": lambda: anti_join(home, layout, changes),
    }
    if way == "engine":
        rows = pq.read_table(changes)
        landed(home, rows.to_batches(), rows.schema, layout)
    warm()
    started, cpu = time.monotonic(), time.process_time()
    ways[way]() if way == "engine" else hashed(home, ways[way])
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    changed = duckdb.sql(f"SELECT sum(changed_at), count(*) FROM read_parquet({silver(home).file_uris()})").fetchall()[
        0
    ]
    expected = pq.ParquetFile(changes).metadata.num_rows
    if changed != (expected, 6_001_215):
        raise AssertionError(f"{way} left {changed}, but {expected} of 6,001,215 rows changed")
    print(json.dumps({"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": peak_mb()}))


def main() -> None:
    """Prints each ratio against its goal and keeps the figures."""
    ratios: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder))
        for layout, goal in GOALS.items():
            ways = [way for way in WAYS if (layout, way) not in LEFT_OUT]
            for share in SHARES:
                runs = {way: [tried(Path(folder), way, layout, share) for _ in range(TRIES)] for way in ways}
                best = {way: min(found, key=lambda run: run["seconds"]) for way, found in runs.items()}
                rival = min((way for way in ways if way != "engine"), key=lambda way: best[way]["seconds"])
                ratio = round(best["engine"]["seconds"] / best[rival]["seconds"], 2)
                cpu = {way: min(run["cpu_seconds"] for run in found) for way, found in runs.items()}
                cpu_ratio = round(cpu["engine"] / min(cpu[way] for way in ways if way != "engine"), 2)
                figures = {"ratio": ratio, "cpu_ratio": cpu_ratio, "goal": round(goal, 2), "rival": rival, "runs": best}
                ratios[f"{layout}_{share}_percent"] = figures
                print(f"merge, {share} % {layout}: {ratio} of {rival}, goal {goal:.2f}, CPU {cpu_ratio}; {best}")
    keep("merge", ratios)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
