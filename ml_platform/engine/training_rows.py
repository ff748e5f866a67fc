"""The rows of a training set: labelled events with their features as of then, split; for the graph and for reproducing.

A recipe travels as JSON in the package of every model that learned from its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl
import pyarrow as pa

from ml_platform.engine.point_in_time import join
from ml_platform.engine.split import assign
from ml_platform.errors import AuditError, nearest
from ml_platform.records.feature import FeatureView
from ml_platform.records.training_set import TrainingRecipe

_KNOWN_AT = "known_at"


def assembled(recipe: TrainingRecipe, frames: Mapping[str, pa.Table]) -> pa.Table:
    """The training set's rows, in the order of their moments. frames: each input by the last part of its key.

    Raises AuditError where the events lack a column, and as the split and the join do.
    """
    table = pl.DataFrame(pl.from_arrow(frames[_name(recipe.events)]))
    lacking = [column for column in recipe.columns if column not in table.columns]
    if lacking:
        raise AuditError(
            f"{recipe.events} has no column {', '.join(lacking)}, but a training set is made from it",
            allowed=nearest(lacking[0], table.columns),
        )
    # When the label could be known, where the events say so.
    known = [name for name in (_KNOWN_AT,) if name in table.columns and name not in recipe.columns]
    ranges = {name: tuple(recipe.split[name]) for name in recipe.split if name != "by"}
    events = assign(table.select(*recipe.columns, *known), recipe.split["by"], ranges)
    rows = [(view, pl.DataFrame(pl.from_arrow(frames[_name(key)]))) for key, view in recipe.views.items()]
    ordered = events.sort(recipe.event_time, *recipe.entity, maintain_order=True)
    return join(ordered, rows, recipe.event_time).to_arrow()


def written(recipe: TrainingRecipe) -> dict[str, Any]:
    """The recipe as JSON has it."""
    return asdict(recipe)


def read(content: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe that was written."""
    views = {
        key: FeatureView(**{**view, "entity": tuple(view["entity"]), "features": tuple(view["features"])})
        for key, view in content["views"].items()
    }
    return TrainingRecipe(
        **{**content, "entity": tuple(content["entity"]), "columns": tuple(content["columns"]), "views": views}
    )


def _name(key: str) -> str:
    return key.rpartition("/")[2]
