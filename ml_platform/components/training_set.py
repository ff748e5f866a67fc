"""A training set: events with their label and their features as of then, pinned to table versions, and split."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.columns import columns_of, require_columns
from ml_platform.components.feature_view import FeatureView
from ml_platform.components.making import declared, require_declared
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.errors import AuditError, nearest
from ml_platform.records import feature
from ml_platform.records.model import FeatureType
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa


class Split(dg.Resolvable, dg.Model):
    """Which events are fitted on, tuned on and tested on: inclusive ranges of one column that sorts in time."""

    by: str = Field(description="The column that the ranges are of, for instance month.")
    train: tuple[str, str] = Field(description="First and last value of the rows that are fitted on.")
    validate_: tuple[str, str] = Field(
        alias="validate", description="First and last value of the rows that the fit is tuned on."
    )
    test: tuple[str, str] = Field(description="First and last value of the rows that the fit never sees.")

    @property
    def ranges(self) -> dict[str, tuple[str, str]]:
        """Split → first and last value."""
        return {"train": self.train, "validate": self.validate_, "test": self.test}


class TrainingSet(dg.Component, dg.Resolvable, dg.Model):
    """A point-in-time join of labelled events and feature views."""

    description: str = Field(description="What is learned from, for people.")
    events: str = Field(description="Asset key of the table with one row per event.")
    entity: list[str] = Field(min_length=1, description="The columns that name an event, kept beside its features.")
    event_time: str = Field(default="event_time", description="The column with the moment that features are as of.")
    label: str = Field(description="The column that is to be predicted.")
    where: str | None = Field(default=None, description="An SQL predicate on the events that are learned from.")
    features: list[str] = Field(
        min_length=1,
        description="Asset keys of feature views, in the order of the join; features of one may key a later one.",
    )
    split: Split = Field(description="How the events are divided.")

    def views(self, context: dg.ComponentLoadContext, key: str) -> dict[str, feature.FeatureView]:
        """Asset key → feature view, in the order of the join. key: the training set's own."""
        return {name: view.view(name.rpartition("/")[2]) for name, view in self._declared_views(context, key).items()}

    def feature_types(self, context: dg.ComponentLoadContext, key: str) -> dict[str, FeatureType]:
        """Feature → type, over all views, in the order of the join. key: the training set's own."""
        views = self._declared_views(context, key).values()
        return {name: kind for view in views for name, kind in view.features.items()}

    def _declared_views(self, context: dg.ComponentLoadContext, key: str) -> dict[str, FeatureView]:
        return {name: declared(context, name, FeatureView, by=key) for name in self.features}

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the training set."""
        require_declared(context, self.events, place(context))
        require_columns(columns_of(context, self.events), self._of_events, place(context))
        views = self.views(context, key_of(context))
        recipe = Recipe(
            key=key_of(context),
            inputs=(self.events, *views),
            shape=Shape(),
            code=digest(self.model_dump(exclude={"description"}), list(views.values())),
            transform=lambda frames: self._joined(frames, list(views.values())),
            where={self.events: self.where} if self.where else {},
            lineage=self._lineage(views),
        )

        @asset(
            context,
            description=self.description,
            deps=[self.events, *views],
            code=recipe.code,
            kinds={"deltalake", "polars"},
        )
        def training_set(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
        ) -> dg.MaterializeResult[Any]:
            from ml_platform.engine.tables import make

            made = make(recipe, [""], [""], lakehouse, compute)
            summary = f"""SELECT split, count(*) AS rows, avg(TRY_CAST("{self.label}" AS DOUBLE)) AS label_mean,
                min("{self.event_time}") AS first_event, max("{self.event_time}") AS last_event
                FROM training.rows GROUP BY split ORDER BY first_event"""
            splits = compute.fetch(summary, {"training.rows": made.snapshot}).to_pylist()
            records = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in splits]
            extra = {"splits": dg.MetadataValue.table(records)}
            return metadata.result(context, made, column=None, lineage=recipe.lineage, extra=extra)

        return dg.Definitions(assets=[training_set])

    @property
    def _of_events(self) -> list[str]:
        """The columns that are taken from the events."""
        return list(dict.fromkeys([*self.entity, self.event_time, self.label, self.split.by]))

    def _lineage(self, views: Mapping[str, feature.FeatureView]) -> dict[str, tuple[tuple[str, str], ...]]:
        """Column → where it comes from: the events, or the view whose feature it is."""
        own = {name: ((self.events, name),) for name in [*self._of_events, "known_at"]}
        features = {name: ((key, name),) for key, view in views.items() for name in view.features}
        return {**own, **features, "split": ((self.events, self.split.by),)}

    def _joined(self, frames: "Mapping[str, pa.Table]", views: list[feature.FeatureView]) -> "pa.Table":
        import polars as pl

        from ml_platform.engine.point_in_time import join
        from ml_platform.engine.split import assign

        table = pl.DataFrame(pl.from_arrow(frames[self.events.rpartition("/")[2]]))
        columns = self._of_events
        lacking = [column for column in columns if column not in table.columns]
        if lacking:
            raise AuditError(
                f"{self.events} has no column {', '.join(lacking)}, but a training set is made from it",
                allowed=nearest(lacking[0], table.columns),
            )
        # When the label could be known, where the events say so.
        columns += [name for name in ("known_at",) if name in table.columns and name not in columns]
        events = assign(table.select(columns), self.split.by, self.split.ranges)
        rows = [(view, pl.DataFrame(pl.from_arrow(frames[view.name]))) for view in views]
        ordered = events.sort(self.event_time, *self.entity, maintain_order=True)
        return join(ordered, rows, self.event_time).to_arrow()
