"""The graph of what is declared, as whoever follows rows takes it: from definitions to `engine.declared.Declared`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.components.columns import columns_of
from ml_platform.declared_specs import SOURCE, hanging
from ml_platform.engine.declared import Declared, Origins, Query
from ml_platform.errors import DeclarationError


def declared_graph(definitions: dg.Definitions) -> Declared:
    """What is declared. definitions: as `build_definitions` gives them. Raises DeclarationError for others."""
    from ml_platform.components import FeatureView

    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    tree = _Tree(definitions)
    views = {key for key, spec in specs.items() if "features" in spec.kinds}
    return replace(
        hanging(list(specs.values())),
        entities=tree.entities(specs),
        sources=_sources(specs),
        views={
            key: found.view(key.rpartition("/")[2])
            for key in views
            if isinstance(found := tree.component(key), FeatureView)
        },
        query=lambda key: tree.query(key, specs[key].code_version or "") if key in specs else None,
        origins=tree.origins,
        redacted=tree.redacted(specs),
    )


def _sources(specs: Mapping[str, dg.AssetSpec]) -> dict[str, Any]:
    from ml_platform.engine.ingest import Source

    return {key: Source(**spec.metadata[SOURCE]) for key, spec in specs.items() if SOURCE in spec.metadata}


class _Tree:
    """The components behind the definitions."""

    def __init__(self, definitions: dg.Definitions) -> None:
        tree = definitions.component_tree
        if tree is None:
            raise DeclarationError(
                "the definitions have no declarations behind them, but rows are followed by what is declared",
                allowed="Definitions are made by ml_platform.definitions.build_definitions",
            )
        self._tree = tree
        self._folder = Path(str(tree.defs_module.__file__)).parent

    def component(self, key: str) -> Any:
        """The component that declares an asset key; None where nothing does."""
        path = self._folder / key
        return self._tree.load_component(path) if (path / "defs.yaml").is_file() else None

    def query(self, key: str, code: str) -> Query | None:
        """The query in the file beside a table's declaration; None where there is none, or it is only a part of it."""
        from ml_platform.engine.sql import read

        path = self._folder / key / f"{key.rpartition('/')[2]}.sql"
        if not path.exists() or getattr(self.component(key), "aggregates", None):
            return None
        return Query(read(path), code)

    def entities(self, specs: Mapping[str, dg.AssetSpec]) -> dict[str, Sequence[str]]:
        """Table, feature view, training set or predictions → the columns that name what a row is about."""
        from ml_platform.components import FeatureView, Predictions, Table, TrainingSet

        found: dict[str, Sequence[str]] = {}
        for key in specs:
            component = self.component(key)
            if isinstance(component, FeatureView | TrainingSet):
                found[key] = tuple(component.entity)
            elif isinstance(component, Table):
                found[key] = tuple(component.key or ())
            elif isinstance(component, Predictions):
                learned: Any = self.component(component.champion_of)
                found[key] = tuple(self.component(learned.training_set).entity)
        return found

    def redacted(self, specs: Mapping[str, dg.AssetSpec]) -> dict[str, Sequence[str]]:
        """Endpoint's name → the columns that its log hides, of those that hide any."""
        from ml_platform.components import Endpoint

        found = {key.rpartition("/")[2]: self.component(key) for key in specs if key.startswith("endpoints/")}
        return {name: one.log.redact for name, one in found.items() if isinstance(one, Endpoint) and one.log.redact}

    def origins(self, key: str) -> Origins:
        """The columns of a table, and of which columns of others their values are made."""
        from ml_platform.components import Predictions, TrainingSet

        component = self.component(key)
        if isinstance(component, TrainingSet):
            return self._joined(component.events, component)
        if isinstance(component, Predictions):
            learned: Any = self.component(component.champion_of)
            return self._joined(component.events, self.component(learned.training_set))
        return columns_of(self._tree.load_context, key).origins if component is not None else {}

    def _joined(self, events: str, training: Any) -> Origins:
        """Of events joined with their features, column by column."""
        own = {name: ((events, name),) for name in (*training.entity, training.event_time, training.label)}
        views = {key: self.component(key).feature_types for key in training.features}
        return {**{name: ((key, name),) for key, types in views.items() for name in types}, **own}
