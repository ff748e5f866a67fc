"""A feature view: rows of features, one per entity and event time, published to the online store."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, place, selected
from ml_platform.components.columns import Derivation
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of, partition_keys
from ml_platform.components.expectation import DESCRIPTION, Written
from ml_platform.components.inspected import inspected, sifted
from ml_platform.components.made_columns import derivation
from ml_platform.components.making import PartitionWindow, dependencies, recipe_beside
from ml_platform.components.quarantine import quarantine
from ml_platform.components.rules import expecting, parents
from ml_platform.engine.plan import Shape
from ml_platform.errors import DeclarationError
from ml_platform.records import feature
from ml_platform.roles.compute import Compute
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.lakehouse import Lakehouse


class FeatureView(Declaration):
    """Features that can be read as of any moment: offline by a point-in-time join, online by a look-up."""

    description: str = Field(description="What the features say, for people.")
    entity: list[str] = Field(min_length=1, description="The key columns, in order.")
    features: dict[str, Literal["number", "category"]] = Field(
        min_length=1, description="Every feature column with its type."
    )
    ttl_hours: float = Field(gt=0, description="How long after its event time a row may be used.")
    online_history_hours: float = Field(
        default=168, ge=0, description="How far before now the online store can still answer as of."
    )
    partitioned: bool = Field(default=True, description="Whether it is divided by the domain's partition column.")
    reads_partitions: PartitionWindow = Field(
        default=PartitionWindow(), description="Which partitions around its own a partition is made from."
    )
    inputs: list[str] = Field(
        default=[], description="Asset keys that a Python function reads; a query says by itself what it reads."
    )
    expect: Written = Field(default=[], description=DESCRIPTION)

    def view(self, name: str) -> feature.FeatureView:
        """The view as it travels. name: the folder's, its version included."""
        return feature.FeatureView(name, tuple(self.entity), tuple(self.features), self.ttl_hours)

    def derivation(self, context: dg.ComponentLoadContext, key: str) -> Derivation:
        """How its columns follow from those that it reads."""
        return derivation(context, key, self.inputs, {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset that makes the view's table and publishes it, and its quarantine where a rule sends rows there."""
        view = self.view(context.path.name)
        _require_version(context)
        domain = domain_of(context.path)
        column = domain.partitions.column if self.partitioned else None
        shape = Shape((*view.entity, view.event_time, view.known_at), column, columns=view.features)
        recipe = recipe_beside(
            context, shape, self.reads_partitions, self.inputs, self.model_dump(exclude={"description"})
        )
        recipe = expecting(context, recipe, self.expect)
        every = partition_keys(context.path)
        history = timedelta(hours=self.ttl_hours + self.online_history_hours)

        @asset(
            context,
            description=self.description,
            deps=[
                *dependencies(context, recipe.inputs, self.reads_partitions, partitioned=self.partitioned),
                *parents(context, recipe, partitioned=self.partitioned),
            ],
            code=recipe.code,
            kinds={"deltalake", "sql" if recipe.query else "python", "features"},
            partitioned=self.partitioned,
            metadata={"entity": list(view.entity), "ttl_hours": self.ttl_hours},
            checks=[rule.name for rule in recipe.expects.rules],
        )
        def feature_view(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
            feature_store: dg.ResourceParam[FeatureStore],
        ) -> Iterator[Any]:
            from ml_platform.engine import clock
            from ml_platform.engine.publication import publish
            from ml_platform.engine.tables import Made, make

            def told(made: Made) -> dg.MaterializeResult[Any]:
                keep_from = clock.now(lakehouse, domain.clock) - history
                published = publish(view, lakehouse.table(recipe.key), keep_from, feature_store)
                online = {"online_rows": published.rows, "online_since": str(keep_from), "published": published.changed}
                return metadata.result(
                    context, made, column=column, lineage=recipe.lineage, extra={**online, **sifted(made)}
                )

            partitions = selected(context, partitioned=self.partitioned)
            yield from inspected(lambda: make(recipe, partitions, every, lakehouse, compute), told)

        beside = [quarantine(context, column)] if recipe.expects.quarantine else []
        return dg.Definitions(assets=[feature_view, *beside])


def _require_version(context: dg.ComponentLoadContext) -> None:
    name, _, number = context.path.name.rpartition("_v")
    if not name or not number.isdigit():
        raise DeclarationError(
            f"{place(context)}: the folder is {context.path.name!r}, but a feature view has its version in its name",
            allowed="It ends in _v and a number, for instance origin_weather_v1",
            remedy="Rename the folder",
        )
