"""Predictions: the champion's answers for many events at once, appended to a table."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.columns import require_where
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of, partition_keys
from ml_platform.components.lines import line_of
from ml_platform.components.making import declared, require_declared
from ml_platform.components.model import CHAMPION, DeclaredNeeds, Model
from ml_platform.errors import DeclarationError
from ml_platform.roles.compute import Compute
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry


class Predictions(Declaration):
    """Events scored in batch with their features as of then; a partition is scored again only for another champion or
    other inputs, and what was scored before stays."""

    description: str = Field(description="What is predicted for which events, for people.")
    champion_of: str = Field(description="Asset key of the model whose champion scores.")
    events: str = Field(description="Asset key of the table with one row per event.")
    where: str | None = Field(default=None, description="An SQL predicate on the events that are scored.")
    partitions: tuple[str, str] | None = Field(
        default=None, description="First and last partition of the events that are scored; all without it."
    )
    needs: DeclaredNeeds = Field(default=DeclaredNeeds(), description="What scoring asks of its machine.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the predictions."""
        key = key_of(context)
        model = declared(context, self.champion_of, Model, by=key)
        training = model.training(context, self.champion_of)
        views = training.views(context, model.training_set)
        require_declared(context, self.events, place(context))
        require_where(context, self.events, self.where, line_of(context, "where"))
        every = partition_keys(context.path)
        first, last = self._range(context, every)
        column = domain_of(context.path).partitions.column
        code = digest(self.model_dump(exclude={"description"}), list(views.values()))

        @asset(
            context,
            description=self.description,
            deps=[f"{self.champion_of}__{CHAMPION}", self.events, *views],
            code=code,
            kinds={"deltalake", "predictions"},
            of_model=self.champion_of,
        )
        def predictions(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
            job_runner: dg.ResourceParam[JobRunner],
            model_registry: dg.ResourceParam[ModelRegistry],
        ) -> dg.MaterializeResult[Any]:
            from ml_platform.engine.scoring import Scoring, score

            scoring = Scoring(
                key=key,
                model=self.champion_of,
                events=self.events,
                entity=tuple(training.carried),
                event_time=training.event_time,
                where=self.where,
                column=column,
                partitions=tuple(name for name in every if first <= name <= last),
                views=views,
                needs=self.needs.record,
                code=code,
            )
            made = score(scoring, every, lakehouse, compute, job_runner, model_registry, context.log.info)
            return metadata.result(context, made, column=None)

        return dg.Definitions(assets=[predictions])

    def _range(self, context: dg.ComponentLoadContext, every: Sequence[str]) -> tuple[str, str]:
        first, last = self.partitions or (every[0], every[-1])
        if first > last or first not in every or last not in every:
            raise DeclarationError(
                f"{place(context)}: partitions is {first} to {last}, but that is no range of the domain's partitions",
                allowed=f"They go from {every[0]} to {every[-1]}",
            )
        return first, last
