"""A feature view: rows of features, one per entity and event time, published to the online store."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.aggregate import DeclaredAggregate
from ml_platform.components.asset import asset, place, selected
from ml_platform.components.columns import Derivation, in_query
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of, partition_keys
from ml_platform.components.expectation import DESCRIPTION, Written
from ml_platform.components.inspected import inspected, sifted
from ml_platform.components.made_columns import derivation
from ml_platform.components.making import PartitionWindow, dependencies, recipe_beside
from ml_platform.components.quarantine import quarantine
from ml_platform.components.rules import checks_of, expecting, parents
from ml_platform.engine.aggregates import Aggregate, compiled, months_around
from ml_platform.engine.plan import Shape
from ml_platform.errors import DeclarationError
from ml_platform.records import feature
from ml_platform.records.model import FeatureType
from ml_platform.roles.compute import Compute
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.lakehouse import Lakehouse


class FeatureView(Declaration):
    """Features that can be read as of any moment: offline by a point-in-time join, online by a look-up."""

    description: str = Field(description="What the features say, for people.")
    entity: list[str] = Field(min_length=1, description="The key columns, in order.")
    features: dict[str, FeatureType] = Field(
        default={}, description="Every feature column of its rows with its type; or aggregates are declared."
    )
    aggregates: dict[str, DeclaredAggregate] = Field(
        default={}, description="Every feature with what it tells of a window over the rows that the query gives."
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
        return feature.FeatureView(name, tuple(self.entity), tuple(self.feature_types), self.ttl_hours)

    @property
    def feature_types(self) -> dict[str, FeatureType]:
        """Feature → type, in order."""
        return self.features or {name: each.type for name, each in self.aggregates.items()}

    def derivation(self, context: dg.ComponentLoadContext, key: str) -> Derivation:
        """How its columns follow from those that it reads."""
        if self.aggregates and (found := in_query(context, key, self._compiled(context))):
            return found
        return derivation(context, key, self.inputs, {})

    def _compiled(self, context: dg.ComponentLoadContext) -> Callable[[str], str]:
        """What the query beside it is made into."""
        if not self.aggregates:
            return str
        column = domain_of(context.path).partitions.column if self.partitioned else None
        return lambda query: compiled(query, self.entity, column, self._windowed)

    @property
    def _windowed(self) -> dict[str, Aggregate]:
        return {name: each.record for name, each in self.aggregates.items()}

    @property
    def _window(self) -> PartitionWindow:
        """The partitions that it is made from: as many at least as its windows reach over."""
        around = months_around(self._windowed) if self.aggregates and self.partitioned else 0
        given = self.reads_partitions
        return PartitionWindow(before=max(given.before, around), after=max(given.after, around))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset that makes the view's table and publishes it, and its quarantine where a rule sends rows there."""
        view = self.view(context.path.name)
        _require_version(context)
        self._require_features(context)
        domain = domain_of(context.path)
        column = domain.partitions.column if self.partitioned else None
        shape = Shape((*view.entity, view.event_time, view.known_at), column, columns=view.features)
        recipe = recipe_beside(
            context,
            shape,
            self._window,
            self.inputs,
            self.model_dump(exclude={"description"}),
            compiled=self._compiled(context),
        )
        recipe = expecting(context, recipe, self.expect)
        every = partition_keys(context.path)
        history = timedelta(hours=self.ttl_hours + self.online_history_hours)

        @asset(
            context,
            description=self.description,
            deps=[
                *dependencies(context, recipe.inputs, self._window, partitioned=self.partitioned),
                *parents(context, recipe, partitioned=self.partitioned),
            ],
            code=recipe.code,
            kinds={"deltalake", "sql" if recipe.query else "python", "features"},
            partitioned=self.partitioned,
            metadata={"entity": list(view.entity), "ttl_hours": self.ttl_hours},
            checks=checks_of(recipe.expects),
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
                online = {
                    "online_rows": published.rows,
                    "online_since": str(keep_from),
                    "published": published.changed,
                    "sent": published.sent,
                }
                return metadata.result(
                    context, made, column=column, lineage=recipe.lineage, extra={**online, **sifted(made)}
                )

            partitions = selected(context, partitioned=self.partitioned)
            yield from inspected(lambda: make(recipe, partitions, every, lakehouse, compute), told)

        beside = [quarantine(context, column)] if recipe.expects.quarantine else []
        return dg.Definitions(assets=[feature_view, *beside])

    def _require_features(self, context: dg.ComponentLoadContext) -> None:
        if bool(self.features) == bool(self.aggregates):
            raise DeclarationError(
                f"{place(context)}: {'both features and' if self.features else 'neither features nor'} aggregates are "
                "declared, but a row is either what the query gives or what windows over that hold",
                allowed="One of the two",
                remedy="Give each kind a view of its own",
            )
        if self.aggregates and not (context.path / f"{context.path.name}.sql").exists():
            raise DeclarationError(
                f"{place(context)}: aggregates are declared, but they are of the rows of a query",
                remedy=f"Write {context.path.name}.sql, which may read the table that a function makes",
            )
        for name, each in self.aggregates.items():
            if each.over_hours > self.ttl_hours:
                raise DeclarationError(
                    f"{place(context)}: {name} is over {each.over_hours} hours, but a row of the view is forgotten "
                    f"after ttl_hours, {self.ttl_hours:g}, while its window still holds something",
                    remedy="Make ttl_hours as long as the longest window",
                )


def _require_version(context: dg.ComponentLoadContext) -> None:
    name, _, number = context.path.name.rpartition("_v")
    if not name or not number.isdigit():
        raise DeclarationError(
            f"{place(context)}: the folder is {context.path.name!r}, but a feature view has its version in its name",
            allowed="It ends in _v and a number, for instance origin_weather_v1",
            remedy="Rename the folder",
        )
