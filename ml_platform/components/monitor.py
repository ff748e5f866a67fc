"""A monitor: windows of what was predicted, compared with the statistics of what the champion was trained on."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of
from ml_platform.components.declaration import Declaration
from ml_platform.components.making import declared
from ml_platform.components.model import CHAMPION, Model
from ml_platform.components.predictions import Predictions
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry


class Thresholds(dg.Resolvable, dg.Model):
    """From where on a feature counts as drifted."""

    psi: float = Field(default=0.25, gt=0, description="Population stability index of a window against its baseline.")
    null_share: float = Field(default=0.1, gt=0, le=1, description="Rise of the share of missing values, in 0-1.")


class Monitor(Declaration):
    """Data drift of every feature, and drift of the predictions themselves, a row a window and feature."""

    description: str = Field(description="What is watched, for people.")
    predictions: str = Field(description="Asset key of the predictions that are watched.")
    champion_of: str = Field(
        description="Asset key of the model whose champion's training statistics are the baseline."
    )
    window: str = Field(description="The column whose values are the windows, for instance month.")
    thresholds: Thresholds = Field(default=Thresholds(), description="From where on a feature counts as drifted.")
    minimum_rows: int = Field(default=500, ge=1, description="Rows below which a window says nothing.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The monitor's asset, and its check."""
        key = key_of(context)
        entity = tuple(declared(context, self.champion_of, Model, by=key).training(context, self.champion_of).entity)
        declared(context, self.predictions, Predictions, by=key)
        code = digest(self.model_dump(exclude={"description"}))

        @asset(
            context,
            description=self.description,
            deps=[self.predictions, f"{self.champion_of}__{CHAMPION}"],
            code=code,
            kinds={"deltalake", "monitor"},
            checks=["drift"],
        )
        def monitor(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
            model_registry: dg.ResourceParam[ModelRegistry],
        ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
            from ml_platform.engine import delta
            from ml_platform.engine.drift import DriftRules
            from ml_platform.engine.monitoring import Monitoring, watch

            rules = DriftRules(self.thresholds.psi, self.thresholds.null_share, self.minimum_rows)
            monitoring = Monitoring(key, self.predictions, self.champion_of, entity, self.window, rules, code)
            made = watch(monitoring, lakehouse, compute, model_registry)
            found = delta.read_rows(made.snapshot).to_pylist()
            result = metadata.result(context, made, column=None, extra=metadata.of_drift(found))
            return result._replace(check_results=[_check(found)])

        return dg.Definitions(assets=[monitor])


def _check(found: Sequence[dict[str, Any]]) -> dg.AssetCheckResult:
    """Passed where nothing drifted; a window with too few rows is named and does not fail it."""
    drifted = [f"{row['window']} {row['feature']}" for row in found if row["state"] == "drifted"]
    thin = sorted({row["window"] for row in found if row["state"] == "not enough data"})
    return dg.AssetCheckResult(
        passed=not drifted,
        check_name="drift",
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(drifted)} of {len(found)} windows of a feature drifted"
        + (f"; not enough data in {', '.join(thin)}" if thin else ""),
        metadata={"drifted": drifted, "not_enough_data": thin},
    )
