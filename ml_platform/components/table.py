"""A table: rows made from other tables, by one query or by one Python function."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Iterator
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, key_of, place, selected
from ml_platform.components.columns import Derivation
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of, partition_keys
from ml_platform.components.expectation import DESCRIPTION, Written
from ml_platform.components.inspected import inspected, sifted
from ml_platform.components.made_columns import MadeColumn, derivation, of_history
from ml_platform.components.making import PartitionWindow, dependencies, recipe_beside
from ml_platform.components.quarantine import quarantine
from ml_platform.components.rules import checks_of, expecting, parents, require_delete_when
from ml_platform.components.writing import require_row_wise, require_writable
from ml_platform.engine.plan import Shape
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse


class Table(Declaration):
    """A silver or gold table: `<folder>.sql`, one query, or `<folder>.py`, one function from frames to a frame."""

    description: str = Field(description="What one row is, for people.")
    partitioned: bool = Field(default=False, description="Whether it is divided by the domain's partition column.")
    key: list[str] = Field(default=[], description="The columns of which every row has values of its own, never NULL.")
    write: Literal["overwrite", "append", "merge", "history"] = Field(
        default="overwrite",
        description=(
            "overwrite: the selected partitions, or everything; append: what comes to the input that drives the query; "
            "merge: for each key the newest row stands; history: each version of a key with the time that it held."
        ),
    )
    newest: str | None = Field(
        default=None,
        description="The event time: of a merge the greatest wins, of a history a version holds from it.",
    )
    delete_when: str | None = Field(
        default=None,
        description="A predicate over the query's rows, of those that say that their key is deleted as of newest.",
    )
    reads_partitions: PartitionWindow = Field(
        default=PartitionWindow(), description="Which partitions around its own a partition is made from."
    )
    inputs: list[str] = Field(
        default=[], description="Asset keys that a Python function reads; a query says by itself what it reads."
    )
    retention_days: float | None = Field(
        default=None,
        ge=0,
        description="How long its old versions stay readable; as long as the domain says without it.",
    )
    cluster_by: list[str] | None = Field(
        default=None, description="The columns that maintenance sorts rows by within files; the key without it."
    )

    expect: Written = Field(default=[], description=DESCRIPTION)
    columns: dict[str, MadeColumn] = Field(
        default={}, description="Every column that a Python function makes, with its type and what it is made from."
    )

    def derivation(self, context: dg.ComponentLoadContext, key: str) -> Derivation:
        """How its columns follow from those that it reads."""
        at = f"{context.defs_module_path.name}/{key}/defs.yaml"
        require_writable(at, self.write, self)
        found = derivation(context, key, self.inputs, self.columns)
        return of_history(found, self.newest, at) if self.write == "history" and self.newest else found

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the table, and of its quarantine where a rule sends rows there."""
        require_writable(place(context), self.write, self)
        column = domain_of(context.path).partitions.column if self.partitioned else None
        recipe = recipe_beside(
            context,
            Shape(tuple(self.key), column, self.write, self.newest, self.delete_when),
            self.reads_partitions,
            self.inputs,
            self.model_dump(exclude={"description", "columns", "retention_days", "cluster_by"}),
            self.columns,
        )
        if self.write == "append":
            require_row_wise(place(context), recipe.query)
        require_delete_when(context, recipe, self.delete_when, self.columns)
        recipe = expecting(context, recipe, self.expect)
        every = partition_keys(context.path)

        @asset(
            context,
            description=self.description,
            deps=[
                *dependencies(context, recipe.inputs, self.reads_partitions, partitioned=self.partitioned),
                *parents(context, recipe, partitioned=self.partitioned),
            ],
            code=recipe.code,
            kinds={"deltalake", "sql" if recipe.query else "python", key_of(context).partition("/")[0]},
            partitioned=self.partitioned,
            checks=checks_of(recipe.expects),
            retention_days=self.retention_days,
            cluster_by=self.key if self.cluster_by is None else self.cluster_by,
        )
        def table(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
        ) -> Iterator[Any]:
            from ml_platform.engine.tables import make

            partitions = selected(context, partitioned=self.partitioned)
            yield from inspected(
                lambda: make(recipe, partitions, every, lakehouse, compute),
                lambda made: metadata.result(context, made, column=column, lineage=recipe.lineage, extra=sifted(made)),
            )

        beside = [quarantine(context, column)] if recipe.expects.quarantine else []
        return dg.Definitions(assets=[table, *beside])
