"""A training set: events with their label and their features as of then, pinned to table versions, and split."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata, model_metadata
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.columns import columns_of, require_columns, require_where
from ml_platform.components.declaration import Declaration
from ml_platform.components.feature_view import FeatureView
from ml_platform.components.lines import line_of
from ml_platform.components.making import declared, require_declared
from ml_platform.components.request_time import RequestTimeFeatures
from ml_platform.components.split import DeclaredSplit
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Fetch, Recipe
from ml_platform.engine.request_time import EVENT_TIME, require_given, version_of
from ml_platform.errors import DeclarationError
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
        description="Asset keys of feature views, in the order of the join; features of one may key a later one. "
        "Behind them those of request-time features, in the order in which they are computed.",
    )
    request: list[str] = Field(
        default=[],
        description="Columns of the events that a request carries beside its entity, for request-time features; what "
        "stands in them has to be known at the event's moment.",
    )
    keep: list[str] = Field(
        default=[],
        description="Columns of the events that are kept beside, for slices and for people; nothing is learned from "
        "them.",
    )
    split: DeclaredSplit = Field(description="How the events are divided.")

    def views(self, context: dg.ComponentLoadContext, key: str) -> dict[str, feature.FeatureView]:
        """Asset key → feature view, in the order of the join. key: the training set's own."""
        found = self._declared_features(context, key).items()
        return {name: it.view(name.rpartition("/")[2]) for name, it in found if isinstance(it, FeatureView)}

    def request_time(self, context: dg.ComponentLoadContext, key: str) -> dict[str, feature.RequestTimeFeatures]:
        """Asset key → request-time features, in their order. key: the training set's own."""
        found = self._declared_features(context, key).items()
        return {
            name: it.record(context.defs_module_path / name)
            for name, it in found
            if isinstance(it, RequestTimeFeatures)
        }

    @property
    def carried(self) -> list[str]:
        """The columns that a request may carry."""
        return list(dict.fromkeys([*self.entity, *self.request]))

    @property
    def of_events(self) -> list[str]:
        """The columns that are taken from the events."""
        return list(dict.fromkeys([*self.carried, self.event_time, self.label, *self.split.columns, *self.keep]))

    def feature_types(self, context: dg.ComponentLoadContext, key: str) -> dict[str, FeatureType]:
        """Feature → type, in the order of the columns. key: the training set's own."""
        found = self._declared_features(context, key).values()
        return {name: kind for it in found for name, kind in it.feature_types.items()}

    def _declared_features(
        self, context: dg.ComponentLoadContext, key: str
    ) -> dict[str, FeatureView | RequestTimeFeatures]:
        """What is declared under each key, views before what is computed of them."""
        found: dict[str, FeatureView | RequestTimeFeatures] = {}
        for name in self.features:
            require_declared(context, name, f"{context.defs_module_path.name}/{key}/defs.yaml")
            it: Any = context.load_component(name)
            made = it if isinstance(it, RequestTimeFeatures) else declared(context, name, FeatureView, by=key)
            before = next((name for name, one in found.items() if isinstance(one, RequestTimeFeatures)), None)
            if isinstance(made, FeatureView) and before:
                raise DeclarationError(
                    f"{context.defs_module_path.name}/{key}/defs.yaml: features has {name} behind {before}, but what "
                    "is computed at the time of a request is computed behind every look-up",
                    remedy=f"List {before} last",
                )
            found[name] = made
        return found

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the training set, and the check that nothing in it was known later than it could be."""
        require_declared(context, self.events, place(context))
        require_columns(columns_of(context, self.events), self.of_events, place(context))
        require_where(context, self.events, self.where, line_of(context, "where"))
        self._require_hidden_label(context)
        key = key_of(context)
        views, request_time = self.views(context, key), self.request_time(context, key)
        self.require_given(context, key, dict.fromkeys(self.carried, ""), place(context))
        types = self.feature_types(context, key)
        found: list[Leakage] = []
        recipe = self._recipe(key, views, request_time, found)

        @asset(
            context,
            description=self.description,
            deps=[self.events, *views, *request_time],
            code=recipe.code,
            kinds={"deltalake", "polars"},
            checks={LEAKAGE: "No row knows anything that was not known at its moment."},
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
            yield metadata.result(
                context, made, column=None, lineage=recipe.lineage, extra=model_metadata.of_card(card)
            )
            yield _check(found[0] if found else None)

        return dg.Definitions(assets=[training_set])

    def _recipe(
        self,
        key: str,
        views: Mapping[str, feature.FeatureView],
        request_time: Mapping[str, feature.RequestTimeFeatures],
        found: "list[Leakage]",
    ) -> Recipe:
        """How the set is made. found: takes what the leakage audit found."""

        def stream(fetch: Fetch) -> Iterator[Any]:
            from ml_platform.engine.training import parts

            return parts(self.question(views, request_time), fetch)

        def proof(fetch: Fetch) -> None:
            from ml_platform.engine.leakage import Asked, require_none

            asked = Asked(key, self.entity, self.event_time, views, [*request_time.values()])
            found.append(require_none(asked, fetch))

        return Recipe(
            key=key,
            inputs=(self.events, *views),
            shape=Shape(),
            code=digest(
                self.model_dump(exclude={"description"}), list(views.values()), *map(version_of, request_time.values())
            ),
            stream=stream,
            proof=proof,
            lineage=self._lineage(views, request_time),
        )

    def question(
        self, views: Mapping[str, feature.FeatureView], request_time: Mapping[str, feature.RequestTimeFeatures]
    ) -> "Question":
        """What is learned from, as the engine takes it. views, request_time: as the methods of that name give them."""
        from ml_platform.engine.training import Question

        return Question(
            events=self.events,
            columns=tuple(self.of_events),
            entity=tuple(self.entity),
            event_time=self.event_time,
            label=self.label,
            split=self.split.record,
            views=views,
            where=self.where,
            request_time=request_time,
        )

    def _require_hidden_label(self, context: dg.ComponentLoadContext) -> None:
        """Returns where no request carries the answer to its own question."""
        for field, columns in (("request", self.request), ("entity", self.entity)):
            if self.label in columns:
                raise DeclarationError(
                    f"{line_of(context, field)}: {field} has {self.label}, but that is the label, which nobody knows "
                    "when they ask",
                    remedy=f"Take it out of {field}",
                )

    def require_given(self, context: dg.ComponentLoadContext, key: str, request: Mapping[str, str], at: str) -> None:
        """Returns where a request and the views give what is computed of them; what only the events know leaks.

        key: the training set's own. request: column → type, nothing where it is not known. at: who asks, for errors.
        """
        found = self._declared_features(context, key).values()
        types = {name: kind for it in found if isinstance(it, FeatureView) for name, kind in it.feature_types.items()}
        require_given(self.request_time(context, key).values(), {**request, **types}, at)

    def _lineage(
        self, views: Mapping[str, feature.FeatureView], request_time: Mapping[str, feature.RequestTimeFeatures]
    ) -> dict[str, tuple[tuple[str, str], ...]]:
        """Column → where it comes from: the events, the view whose feature it is, or what it is computed of."""
        found: dict[str, tuple[tuple[str, str], ...]] = {
            name: ((self.events, name),) for name in [*self.of_events, "known_at"]
        }
        found |= {name: ((key, name),) for key, view in views.items() for name in view.features}
        for each in request_time.values():
            of = [found[self.event_time if name == EVENT_TIME else name] for name in each.inputs]
            found |= dict.fromkeys(each.features, tuple(dict.fromkeys(origin for it in of for origin in it)))
        return {**found, "split": tuple((self.events, name) for name in self.split.columns)}


def _check(found: "Leakage | None") -> dg.AssetCheckResult:
    """Kept where every sampled event has what was known of it; a set that did not change was asked when it was made."""
    differing = dict(found.differing) if found else {}
    return dg.AssetCheckResult(
        check_name=LEAKAGE,
        passed=not differing,
        description=f"Differs from what was known then: {', '.join(differing)}." if differing else "Kept.",
        metadata={"events_asked_again": found.events if found else 0, "differing": metadata.as_json(differing)},
    )
