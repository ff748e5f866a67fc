"""The door for notebooks and scripts: tables, features, training sets and models, by the code that the graph runs.

Nothing is written through it: what is made, is made by the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from ml_platform.errors import AuditError, DeclarationError, NotFoundError, nearest
from ml_platform.fitted_model import FittedModel
from ml_platform.records.feature import FeatureView, RequestTimeFeatures
from ml_platform.records.split import NAMES
from ml_platform.records.table import TableSnapshot
from ml_platform.rows import Rows

if TYPE_CHECKING:
    import polars as pl

    from ml_platform.binding import Binding

Declared = TypeVar("Declared")


def connect(environment: str | None = None, *, profile: str | None = None) -> Connection:
    """A connection to what an environment holds, for instance `prod`; to that of this process without a name.

    profile: which services play the roles; that of this process without a name.
    Raises BindingError where one does not resolve.
    """
    from ml_platform.binding import bindings, in_force

    with in_force(environment, profile):
        return Connection(bindings())


class Connection:
    """Reads what stands, each table at one version.

    services: role → service. made: the package that declares what there is; `assets` without one.
    """

    def __init__(self, services: Mapping[str, Binding], made: ModuleType | None = None) -> None:
        from ml_platform.binding import build

        self._made = (made,) if made else ()
        self._lakehouse, self._compute, self._registry = (
            build(services[role]) for role in ("lakehouse", "compute", "model_registry")
        )

    def table(
        self, key: str, version: int | None = None, *, columns: list[str] | None = None, where: str | None = None
    ) -> Rows:
        """A table's rows, for instance of `silver/flights`; of its latest version without one.

        columns: all without a list. where: one SQL expression over the row's own columns.
        Raises NotFoundError where the table, the version or a column is not there; DeclarationError for a `where` that
        is more than that.
        """
        from ml_platform.engine.plan import quoted
        from ml_platform.engine.predicate import require_predicate
        from ml_platform.engine.sql import relation

        found = self._snapshot(key, version)
        for name in columns or ():
            if name not in found.schema.names:
                raise NotFoundError(f"{key} has no column {name!r}", allowed=nearest(name, found.schema.names))
        if where:
            require_predicate(where, f"where of {key}", found.schema.names)
        listed = ", ".join(quoted(name) for name in columns) if columns else "*"
        query = f"SELECT {listed} FROM {relation(key)}" + (f" WHERE ({where}\n)" if where else "")
        return self._rows(key, query, {key: found})

    def sql(self, query: str) -> Rows:
        """What a query gives, in DuckDB's dialect, over tables as `silver.flights`, all of them as they stand now.

        Raises DeclarationError where it is not one query, NotFoundError for a table that is not there.
        """
        from ml_platform.engine.sql import tables_read

        return self._rows("query", query, {key: self._snapshot(key) for key in tables_read(query, "the query")})

    def features(self, events: Any, *names: str, event_time: str = "event_time") -> Any:
        """The events, row for row, with the features of each view as they were known at the event's moment.

        events: pandas, Polars or Arrow, with the views' keys and a moment each, UTC; what is given back is the same.
        names: feature views, in the order of the join, request-time features, or training sets, for all of theirs.
        Raises NotFoundError for a view that is not declared or not made, and AuditError as the join does.
        """
        import polars as pl

        from ml_platform.engine import frames
        from ml_platform.engine.point_in_time import join

        found = {key: it for name in names for key, it in self._features(name).items()}
        views = {key: it for key, it in found.items() if isinstance(it, FeatureView)}
        computed = [it for it in found.values() if isinstance(it, RequestTimeFeatures)]
        rows = [(view, self._of_view(key, view).to_polars()) for key, view in views.items()]
        given = pl.DataFrame(pl.from_arrow(frames.arrow(events)))
        joined = join(given.with_columns(_moments(given, event_time)), rows, event_time, computed)
        return frames.like(events, joined.with_columns(given[event_time]).to_arrow())

    def training_set(self, key: str, version: int | None = None, *, split: str | None = None) -> Rows:
        """A training set's rows, for instance of `training_sets/arrival_delay`; only those of one split where named."""
        from ml_platform.components import TrainingSet
        from ml_platform.engine.plan import literal

        self._declared(key, TrainingSet)
        if split not in (None, *NAMES):
            raise NotFoundError(f"{key} has no split {split!r}", allowed=nearest(str(split), NAMES))
        return self.table(key, version, where=f"split = {literal(split)}" if split else None)

    def model(self, reference: str) -> FittedModel:
        """A version by its name and an alias or number, for instance `arrival_delay@champion`.

        Raises NotFoundError, naming what there is, where no version goes by it.
        """
        from ml_platform.engine.champion import version_named

        return FittedModel(version_named(reference, self._registry), self._registry)

    def _snapshot(self, key: str, version: int | None = None) -> TableSnapshot:
        from ml_platform.engine import delta

        location = self._lakehouse.table(key)
        found = delta.existing(location) if version is None else delta.snapshot(location, version)
        if found is None:
            raise NotFoundError(f"the table {key} is not there, but version {version} of it is asked for")
        return found

    def _rows(self, told: str, query: str, inputs: Mapping[str, TableSnapshot]) -> Rows:
        from ml_platform.engine.sql import relation

        pinned = {relation(key): found for key, found in inputs.items()}
        versions = {key: found.version for key, found in inputs.items()}
        return Rows(told, versions, lambda: self._compute.fetch(query, pinned))

    def _of_view(self, key: str, view: FeatureView) -> Rows:
        return self.table(key, columns=[*view.entity, view.event_time, view.known_at, *view.features])

    def _features(self, name: str) -> dict[str, FeatureView | RequestTimeFeatures]:
        from ml_platform import components
        from ml_platform.definitions import folder_of

        kinds = (components.FeatureView, components.RequestTimeFeatures, components.TrainingSet)
        found = self._declared(name, *kinds)
        if isinstance(found, components.TrainingSet):
            return {key: it for listed in found.features for key, it in self._features(listed).items()}
        if isinstance(found, components.RequestTimeFeatures):
            return {name: found.record(folder_of(name, *self._made))}
        return {name: found.view(name.rpartition("/")[2])}

    def _declared(self, key: str, *kinds: type[Any]) -> Any:
        from ml_platform.definitions import declaration

        found = declaration(key, *self._made)
        if not isinstance(found, kinds):
            wanted = " or a ".join(kind.__name__ for kind in kinds)
            raise DeclarationError(f"{key} is a {type(found).__name__}, but what is asked for is a {wanted}")
        return found


def _moments(events: pl.DataFrame, column: str) -> pl.Series:
    """The events' moments as tables have them: UTC, in microseconds."""
    import polars as pl

    if column not in events.columns:
        raise AuditError(
            f"{column} is not among the events' columns, but features are as of a moment",
            allowed=nearest(column, events.columns),
        )
    kind = events[column].dtype
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
        raise AuditError(
            f"{column} is of type {kind}, but a moment without its time zone can be any of a day's",
            allowed="Moments with a time zone are",
            remedy="Give them one, for instance by dt.replace_time_zone or tz_localize",
        )
    return events[column].dt.convert_time_zone("UTC").dt.cast_time_unit("us")
