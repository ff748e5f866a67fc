"""The scoring job: rows and some models in, the same rows with what each model says out, in bounded memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ml_platform.engine.package import write_json
from ml_platform.engine.scorer import Scorer
from ml_platform.jobs.contract import JobOrder, emit, run
from ml_platform.jobs.tables import as_columns, parquet_files, pinned_table, require_columns, row_filter

SCORES = "scores.parquet"
LATENCY = "latency.json"

_BATCH_ROWS = 65_536
_WARM_UP = 20  # calls that are not timed: the first ones pay for what is made once


def score(order: JobOrder, output: Path) -> None:
    """`scores.parquet` holds the rows in their order: the columns to keep, and `score_<number>` per model.

    A score is a float64, a probability or a value, or the list of one per class. Where `timed_rows` are asked for,
    `latency.json` holds what a call of a single row took: `score_<number>` → `latency_median_ms` and `latency_p99_ms`
    over so many calls; empty where there is no row to call with.
    """
    given = order.checked({"rows": dict, "models": dict, "keep": list}, {"timed_rows": 0})
    scorers = {f"score_{number}": Scorer.load(order.folder(name)) for number, name in given["models"].items()}
    rows, expression = _rows(order, given["rows"])
    needed = [feature.name for scorer in scorers.values() for feature in scorer.features]
    columns = list(dict.fromkeys([*given["keep"], *needed]))
    require_columns(rows, columns, "the rows")
    fields = [rows.schema.field(name) for name in given["keep"]]
    schema = pa.schema([*fields, *(pa.field(name, _type(it), nullable=False) for name, it in scorers.items())])
    total, done = rows.count_rows(filter=expression), 0
    with pq.ParquetWriter(output / SCORES, schema, compression="zstd") as writer:
        # Little read ahead, or many wide row groups would stand in memory at once.
        for batch in rows.to_batches(
            columns=columns, filter=expression, batch_size=_BATCH_ROWS, batch_readahead=2, fragment_readahead=1
        ):
            writer.write_batch(_scored(batch, given["keep"], scorers, schema))
            done += len(batch)
            emit("progress", f"{done} of {total} rows scored", done / max(total, 1))
    emit("metric", "rows", float(done))
    if given["timed_rows"]:
        few = rows.head(given["timed_rows"], columns=columns, filter=expression)
        took = {name: _latency(few, it, given["timed_rows"]) for name, it in scorers.items()} if len(few) else {}
        write_json(output / LATENCY, took)


def _latency(rows: pa.Table, scorer: Scorer, calls: int) -> dict[str, float]:
    """What one row takes, from its named values to its score, without any look-up or transport; rows come in turn."""
    types = {feature.name: feature.type for feature in scorer.features}
    singles = [as_columns(one, types) for one in rows.to_batches(max_chunksize=1)]
    took = np.empty(calls)
    for call in range(-_WARM_UP, calls):
        started = time.perf_counter()
        scorer.predict(singles[call % len(singles)])
        took[max(call, 0)] = time.perf_counter() - started
    return {
        "latency_median_ms": float(np.median(took) * 1000),
        "latency_p99_ms": float(np.quantile(took, 0.99) * 1000),
    }


def _rows(order: JobOrder, rows: Mapping[str, Any]) -> tuple[ds.Dataset, ds.Expression | None]:
    if "folder" in rows and "version" not in rows:
        JobOrder(rows, {}).checked({"folder": str}, {})
        return parquet_files(order.folder(rows["folder"])), None
    given = order.table(rows, {"where": []})
    table = pinned_table(given["uri"], given["version"], given["storage_options"])
    return table, row_filter(table, given["where"])


def _scored(batch: pa.RecordBatch, keep: list[str], scorers: Mapping[str, Scorer], schema: pa.Schema) -> pa.RecordBatch:
    kept = [batch.column(name) for name in keep]
    return pa.record_batch([*kept, *(_scores(batch, scorer) for scorer in scorers.values())], schema=schema)


def _type(scorer: Scorer) -> pa.DataType:
    classes = len(scorer.card.classes)
    return pa.list_(pa.float64(), classes) if classes else pa.float64()


def _scores(batch: pa.RecordBatch, scorer: Scorer) -> pa.Array:
    columns = as_columns(batch, {feature.name: feature.type for feature in scorer.features})
    flat = pa.array(scorer.predict(columns).reshape(-1), type=pa.float64())
    return pa.FixedSizeListArray.from_arrays(flat, type=_type(scorer)) if scorer.card.classes else flat


if __name__ == "__main__":
    sys.exit(run(score))
