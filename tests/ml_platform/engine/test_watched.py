from __future__ import annotations

import doctest
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from ml_platform.engine import watched
from ml_platform.engine.watched import Watched, rows_of, schema
from resources.embedded.compute import EmbeddedCompute

AT = pa.timestamp("us", tz="UTC")
LOG = Watched("endpoints/late__log", True, ("id",), "event_time", "day", "America/New_York", "multiclass", None, "kind")


def test_worked_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(watched).failed == 0


def test_log_is_read_by_its_json_whatever_a_feature_is_called(
    put: Callable[..., object], compute: EmbeddedCompute
) -> None:
    name = 'a "quoted" it\'s'
    table = pa.table(
        {
            "event_time": pa.array([datetime(2013, 12, 1, 3, tzinfo=UTC)], AT),
            "model_version": [2],
            "inputs": ['{"id": 7}'],
            "features": ['{"wind": 1.5, "wet": true, "a \\"quoted\\" it\'s": "x", "none": null}'],
            "output": ['{"early": 0.2, "late": 0.7, "on time": 0.1}'],
        }
    )
    snapshot = put("endpoints/late__log", table)
    kinds = {"wind": "number", "wet": "number", name: "category", "none": "number", "prediction": "category"}
    query = rows_of(LOG, 2, schema(table), kinds, set(kinds))  # type: ignore[arg-type]
    (row,) = compute.fetch(query, {"endpoints.late__log": snapshot}).to_pylist()  # type: ignore[dict-item]
    # three in the morning UTC is the evening before in New York
    assert (row["__window"], row["__mine"], row["__id"]) == ("2013-11-30", True, "7")
    assert (row["wind"], row["wet"], row[name], row["none"], row["prediction"]) == ("1.5", "1", "x", None, "late")


def test_batch_is_cut_from_time_where_the_window_is_no_column(
    put: Callable[..., object], compute: EmbeddedCompute
) -> None:
    of = replace(LOG, table="predictions/late", logged=False, window="month", task="binary")
    table = pa.table(
        {
            "id": [1, 1],
            "event_time": pa.array([datetime(2014, 1, 1, 3, tzinfo=UTC)] * 2, AT),
            "model_version": [2, 2],
            "prediction": [0.1, 0.2],
            "processed_at": pa.array([datetime(2014, 1, day, tzinfo=UTC) for day in (3, 2)], AT),
        }
    )
    query = rows_of(of, 2, schema(table), {}, set())
    (row,) = compute.fetch(query, {"predictions.late": put("predictions/late", table)}).to_pylist()  # type: ignore[dict-item]
    assert (row["__window"], row["prediction"]) == ("2013-12", 0.1)
