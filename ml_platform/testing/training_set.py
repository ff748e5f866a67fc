"""A training set with a known signal, small enough to fit in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ml_platform.records.metric import Task
from ml_platform.records.model import FeatureType

FEATURES: dict[str, FeatureType] = {"wind": "number", "hour": "number", "carrier": "category"}
LABEL = "late"
LABELS: dict[Task, str] = {"binary": LABEL, "multiclass": "kind", "regression": "minutes"}
SPLIT_ROWS = {"train": 3000, "validate": 1000, "test": 1000}

_EFFECT = {"AA": -1.0, "DL": 0.0, "UA": 1.0}


def rows(seed: int = 7) -> pa.Table:
    """5,000 rows whose log-odds of `late` are 1.2 · wind + the carrier's effect - 0.5; `hour` says nothing.

    One value in twenty of wind and of carrier is missing, and counts as 0 in the log-odds. `chance` is the true
    probability: no model can rank better.

    `minutes` are ten for each of the log-odds, with a noise of 5; `kind` is early below -8, late above 4, on time else.
    """
    draw = np.random.default_rng(seed)
    count = sum(SPLIT_ROWS.values())
    wind, carrier = draw.normal(size=count), draw.choice(sorted(_EFFECT), size=count)
    no_wind, no_carrier = draw.random(count) < 0.05, draw.random(count) < 0.05
    effect = np.where(no_carrier, 0.0, [_EFFECT[name] for name in carrier])
    odds = 1.2 * np.where(no_wind, 0.0, wind) + effect - 0.5
    chance = 1 / (1 + np.exp(-odds))
    columns: dict[str, Any] = {
        "id": pa.array(np.arange(count)),
        "wind": pa.array(wind, mask=no_wind),
        "hour": pa.array(draw.integers(5, 23, count)),
        "carrier": pa.array(carrier.tolist(), mask=no_carrier),
        "chance": pa.array(chance),
        LABEL: pa.array(draw.random(count) < chance),
        "split": pa.array(np.repeat(list(SPLIT_ROWS), list(SPLIT_ROWS.values())).tolist()),
    }
    minutes = 10 * odds + draw.normal(scale=5, size=count)
    columns["minutes"] = pa.array(minutes)
    columns["kind"] = pa.array(np.select([minutes < -8, minutes > 4], ["early", "late"], "on time").tolist())
    return pa.table(columns)


def write(folder: Path, table: pa.Table | None = None) -> dict[str, Any]:
    """The table stands as a Delta table in the folder; what comes back is its pin, as a fit takes it."""
    from deltalake import DeltaTable, write_deltalake

    write_deltalake(folder, rows() if table is None else table, mode="overwrite", schema_mode="overwrite")
    return {"uri": str(folder), "version": DeltaTable(folder).version()}


def fit_arguments(pin: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The arguments of a fit of the training set, a quick linear one unless changed."""
    arguments = {"training_set": pin, "label": LABEL, "features": FEATURES, "estimator": "linear", "seed": 1}
    return {**arguments, **changes}


def columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The features of the table as a scorer takes them."""
    return {name: table.column(name).to_numpy() for name in FEATURES}
