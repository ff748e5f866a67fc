"""Scoring: events joined with their features as of then, scored by the champion, and appended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ml_platform.engine import alias_log, delta, request_time
from ml_platform.engine.champion import champion_of
from ml_platform.engine.package import read_card
from ml_platform.engine.plan import Shape
from ml_platform.engine.point_in_time import join
from ml_platform.engine.program import digest
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.running import run
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import Made, make
from ml_platform.errors import ServiceError
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.job import JobSpec, Needs
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import Location
from ml_platform.roles.compute import Compute
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

_ROW = "__row"


@dataclass(frozen=True)
class Scoring:
    """What is scored.

    key, model, events: asset keys. entity: columns that name an event, and those that a request carries beside them.
    where: an SQL predicate on the events.
    column, partitions: the partition column and the partitions that are scored.
    views: asset key → feature view, in the order of the join.
    """

    key: str
    model: str
    events: str
    entity: tuple[str, ...]
    event_time: str
    where: str | None
    column: str
    partitions: tuple[str, ...]
    views: Mapping[str, FeatureView]
    needs: Needs
    code: str


def score(
    scoring: Scoring,
    every: Sequence[str],
    lakehouse: Lakehouse,
    compute: Compute,
    runner: JobRunner,
    registry: ModelRegistry,
    say: Callable[[str], None],
) -> Made:
    """The table holding the champion's answer for every event, appended once for each champion and input.

    An event is scored again when its features have changed since; what was scored before stays.
    Raises NotFoundError where no champion stands.
    """
    champion = champion_of(scoring.model, registry)
    alias_log.reconciled(champion.name, registry)  # what somebody moved by hand is told before it scores
    recipe = Recipe(
        key=scoring.key,
        inputs=(scoring.events, *scoring.views),
        shape=Shape(partition=scoring.column, write="append"),
        code=f"{scoring.code} {champion.digest}",
        transform=lambda frames: _scored(scoring, champion, frames, lakehouse, runner, registry, say),
        reads=(len(every), len(every)),
        where={scoring.events: scoring.where} if scoring.where else {},
    )
    return make(recipe, scoring.partitions, every, lakehouse, compute)


def _scored(
    scoring: Scoring,
    champion: ModelVersion,
    frames: Mapping[str, pa.Table],
    lakehouse: Lakehouse,
    runner: JobRunner,
    registry: ModelRegistry,
    say: Callable[[str], None],
) -> pa.Table:
    with TemporaryDirectory() as folder:
        package = registry.fetch(champion.name, champion.number, Path(folder) / "model")
        joined = _joined(scoring, frames, request_time.load(package))
        rows = _unscored(scoring, champion, joined, lakehouse)
        numbered = rows.with_row_index(_ROW).to_arrow()
        staged = stage(numbered.to_batches(), numbered.schema, Location(scoring.key, f"{folder}/rows"))
        spec = JobSpec(
            name=f"score-{champion.name}-{champion.digest[:16]}-{digest('jobs.score')}-{delta.fingerprint(staged)}",
            program="score",
            arguments={"rows": {"folder": "rows"}, "models": {str(champion.number): "model"}, "keep": [_ROW]},
            folders={"rows": f"{folder}/rows", "model": str(package)},
            needs=scoring.needs,
        )
        output = pq.read_table(run(runner, spec, say, Path(folder) / "scores") / "scores.parquet")
        classes = read_card(package).classes
    # The job reads files in an order of its own; a row's number says which answer is whose.
    answers = pl.DataFrame(pl.from_arrow(output)).sort(_ROW)
    if answers[_ROW].to_list() != list(range(rows.height)):
        raise ServiceError(f"the job {spec.name} scored other rows than it was given, but every row needs its answer")
    return rows.with_columns(
        *_said(answers[f"score_{champion.number}"], classes),
        pl.lit(champion.number, pl.Int64).alias("model_version"),
        pl.lit(datetime.now(UTC)).alias("processed_at"),
    ).to_arrow()


def _said(scores: pl.Series, classes: Sequence[str]) -> list[pl.Series]:
    """`prediction`: the probability or the value; where there are classes the likeliest, and its `probability`."""
    if not classes:
        return [scores.alias("prediction")]
    every = scores.to_numpy().reshape(-1, len(classes))
    likeliest = [classes[place] for place in every.argmax(axis=1)]
    return [pl.Series("prediction", likeliest, pl.String), pl.Series("probability", every.max(axis=1, initial=0.0))]


def _unscored(scoring: Scoring, champion: ModelVersion, rows: pl.DataFrame, lakehouse: Lakehouse) -> pl.DataFrame:
    """The rows that the champion has not answered with these very features; NULL features are alike."""
    before = delta.snapshot(lakehouse.table(scoring.key))
    if before is None or set(rows.columns) - set(before.schema.names):
        return rows
    answered = pl.DataFrame(pl.from_arrow(delta.read_rows(before, [*rows.columns, "model_version"])))
    mine = answered.filter(model_version=champion.number)
    return rows.join(mine, on=rows.columns, how="anti", nulls_equal=True, maintain_order="left")


def _joined(
    scoring: Scoring, frames: Mapping[str, pa.Table], request_time: Sequence[RequestTimeFeatures]
) -> pl.DataFrame:
    """The events with their features. request_time: by the functions that the champion learned from."""
    events = pl.DataFrame(pl.from_arrow(frames[scoring.events.rpartition("/")[2]]))
    columns = list(dict.fromkeys([*scoring.entity, scoring.event_time, scoring.column]))
    rows = [(view, pl.DataFrame(pl.from_arrow(frames[view.name]))) for view in scoring.views.values()]
    ordered = events.select(columns).sort(scoring.event_time, *scoring.entity, maintain_order=True)
    return join(ordered, rows, scoring.event_time, request_time)
