"""Monitoring: every window of what was predicted, compared with the champion's training statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa

from ml_platform.engine.champion import champion_of
from ml_platform.engine.drift import DriftRules, measure, measure_all
from ml_platform.engine.package import BASELINE, read_json
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.tables import Made, make
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

PREDICTION = "prediction"
_SCHEMA = pa.schema(
    [
        pa.field("window", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("state", pa.string()),
        pa.field("psi", pa.float64()),
        pa.field("null_share", pa.float64()),
        pa.field("baseline_null_share", pa.float64()),
        pa.field("new_categories", pa.string()),
        pa.field("rows", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Monitoring:
    """What is watched.

    key, predictions, model: asset keys. entity: the columns that name a predicted event.
    window: the column whose values are the windows.
    """

    key: str
    predictions: str
    model: str
    entity: tuple[str, ...]
    window: str
    rules: DriftRules
    code: str


def watch(monitoring: Monitoring, lakehouse: Lakehouse, compute: Compute, registry: ModelRegistry) -> Made:
    """The table holding a row a window and feature, of the champion's predictions.

    Raises NotFoundError where no champion stands or nothing was predicted.
    """
    champion = champion_of(monitoring.model, registry)
    with TemporaryDirectory() as folder:
        package = registry.fetch(champion.name, champion.number, Path(folder) / "package")
        baseline = read_json(package / BASELINE)
    recipe = Recipe(
        key=monitoring.key,
        inputs=(monitoring.predictions,),
        shape=Shape(key=("window", "feature")),
        code=f"{monitoring.code} {champion.digest}",
        transform=lambda frames: _compared(monitoring, baseline, frames),
        where={monitoring.predictions: f"model_version = {champion.number}"},
    )
    return make(recipe, [""], [""], lakehouse, compute)


def _compared(monitoring: Monitoring, baseline: Mapping[str, Any], frames: Mapping[str, pa.Table]) -> pa.Table:
    every = pl.DataFrame(pl.from_arrow(frames[monitoring.predictions.rpartition("/")[2]]))
    # An event that was scored again counts once, as it was scored last.
    rows = every.sort("processed_at").unique(monitoring.entity, keep="last", maintain_order=True)
    if not rows.height:
        return pa.Table.from_pylist([_silent(name) for name in (*baseline["features"], PREDICTION)], schema=_SCHEMA)
    found = []
    for (window,), part in sorted(rows.partition_by(monitoring.window, as_dict=True).items()):
        columns = {name: part[name].to_numpy() for name in baseline["features"]}
        drifts = list(measure_all(baseline["features"], columns, monitoring.rules))
        drifts.append(measure(PREDICTION, baseline["score"], part[PREDICTION].to_numpy(), monitoring.rules))
        found += [
            {"window": str(window), **asdict(drift), "new_categories": ", ".join(drift.new_categories)}
            for drift in drifts
        ]
    return pa.Table.from_pylist(found, schema=_SCHEMA)


def _silent(feature: str) -> dict[str, Any]:
    """What is said of a feature where the champion has predicted nothing yet."""
    return {"window": "none yet", "feature": feature, "state": "not enough data", "rows": 0}
