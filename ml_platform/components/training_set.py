"""A training set: events with their label and their features as of then, pinned to table versions, and split."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.columns import columns_of, require_columns
from ml_platform.components.declaration import Declaration
from ml_platform.components.feature_view import FeatureView
from ml_platform.components.making import declared, require_declared
from ml_platform.components.split import DeclaredSplit
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Fetch, Recipe
from ml_platform.records import feature
from ml_platform.records.model import FeatureType
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    from ml_platform.engine.leakage import Leakage
    from ml_platform.engine.training import Question

LEAKAGE = "leakage"


class TrainingSet(Declaration):
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
    split: DeclaredSplit = Field(description="How the events are divided.")

    def views(self, context: dg.ComponentLoadContext, key: str) -> dict[str, feature.FeatureView]:
        """Asset key → feature view, in the order of the join. key: the training set's own."""
        return {name: view.view(name.rpartition("/")[2]) for name, view in self._declared_views(context, key).items()}

    def feature_types(self, context: dg.ComponentLoadContext, key: str) -> dict[str, FeatureType]:
        """Feature → type, over all views, in the order of the join. key: the training set's own."""
        views = self._declared_views(context, key).values()
        return {name: kind for view in views for name, kind in view.feature_types.items()}

    def _declared_views(self, context: dg.ComponentLoadContext, key: str) -> dict[str, FeatureView]:
        return {name: declared(context, name, FeatureView, by=key) for name in self.features}

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the training set, and the check that nothing in it was known later than it could be."""
        require_declared(context, self.events, place(context))
        require_columns(columns_of(context, self.events), self._of_events, place(context))
        key = key_of(context)
        views = self.views(context, key)
        types = self.feature_types(context, key)
        found: list[Leakage] = []
        recipe = self._recipe(context, key, views, found)

        @asset(
            context,
            description=self.description,
            deps=[self.events, *views],
            code=recipe.code,
            kinds={"deltalake", "polars"},
            checks=[LEAKAGE],
        )
        def training_set(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
        ) -> Iterator[Any]:
            from ml_platform.engine.data_card import ROWS, Contents
            from ml_platform.engine.kept_card import card_of
            from ml_platform.engine.leakage import LeakageError
            from ml_platform.engine.tables import make

            found.clear()
            try:
                made = make(recipe, [""], [""], lakehouse, compute)
            except LeakageError as error:
                yield _check(error.found)
                raise
            contents = Contents(tuple(self.entity), self.event_time, self.label, types)
            card = card_of(
                made, contents, self.description, lakehouse, lambda query: compute.fetch(query, {ROWS: made.snapshot})
            )
            yield metadata.result(context, made, column=None, lineage=recipe.lineage, extra=metadata.of_card(card))
            yield _check(found[0] if found else None)

        return dg.Definitions(assets=[training_set])

    def _recipe(
        self,
        context: dg.ComponentLoadContext,
        key: str,
        views: Mapping[str, feature.FeatureView],
        found: "list[Leakage]",
    ) -> Recipe:
        """How the set is made. found: takes what the leakage audit found."""

        def stream(fetch: Fetch) -> Iterator[Any]:
            from ml_platform.engine.training import parts

            return parts(self.question(views), fetch)

        def proof(fetch: Fetch) -> None:
            from ml_platform.engine.leakage import require_none

            found.append(require_none(key, self.entity, self.event_time, views, fetch))

        return Recipe(
            key=key,
            inputs=(self.events, *views),
            shape=Shape(),
            code=digest(self.model_dump(exclude={"description"}), list(views.values())),
            stream=stream,
            proof=proof,
            lineage=self._lineage(views),
        )

    def question(self, views: Mapping[str, feature.FeatureView]) -> "Question":
        """What is learned from, as the engine takes it. views: as `views` gives them."""
        from ml_platform.engine.training import Question

        return Question(
            events=self.events,
            columns=tuple(self._of_events),
            entity=tuple(self.entity),
            event_time=self.event_time,
            label=self.label,
            split=self.split.record,
            views=views,
            where=self.where,
        )

    @property
    def _of_events(self) -> list[str]:
        """The columns that are taken from the events."""
        return list(dict.fromkeys([*self.entity, self.event_time, self.label, *self.split.columns]))

    def _lineage(self, views: Mapping[str, feature.FeatureView]) -> dict[str, tuple[tuple[str, str], ...]]:
        """Column → where it comes from: the events, or the view whose feature it is."""
        own = {name: ((self.events, name),) for name in [*self._of_events, "known_at"]}
        features = {name: ((key, name),) for key, view in views.items() for name in view.features}
        return {**own, **features, "split": tuple((self.events, name) for name in self.split.columns)}


def _check(found: "Leakage | None") -> dg.AssetCheckResult:
    """Kept where every sampled event has what was known of it; a set that did not change was asked when it was made."""
    differing = dict(found.differing) if found else {}
    return dg.AssetCheckResult(
        check_name=LEAKAGE,
        passed=not differing,
        description=f"Differs from what was known then: {', '.join(differing)}." if differing else "Kept.",
        metadata={"events_asked_again": found.events if found else 0, "differing": metadata.as_json(differing)},
    )
