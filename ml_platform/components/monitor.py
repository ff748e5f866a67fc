"""A monitor: windows of what was answered, compared with what the champion learned from or with other windows."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from ml_platform import monitor_metadata
from ml_platform.components import retraining
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of
from ml_platform.components.endpoint import Endpoint
from ml_platform.components.making import declared
from ml_platform.components.model import CHAMPION, Model
from ml_platform.components.monitor_rules import Limit, Quality, Retrain, Thresholds, Volume
from ml_platform.components.predictions import Predictions
from ml_platform.components.training_set import TrainingSet
from ml_platform.engine.periods import FORMATS
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.monitor import FAMILIES, MEANINGS, MonitorRules
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    from ml_platform.engine.monitoring import Monitoring


class Monitor(Declaration):
    """Drift of every feature and of the answers, delayed quality, skew, freshness and volume, window by window."""

    description: str = Field(description="What is watched, for people.")
    predictions: str | None = Field(default=None, description="Asset key of the batch predictions that are watched.")
    log_of: str | None = Field(default=None, description="Or asset key of the endpoint whose log is.")
    champion_of: str = Field(
        description="Asset key of the model whose champion's answers are watched; its training statistics are at hand."
    )
    window: str = Field(
        description="The column whose values are the windows, or hour, day, week or month, cut from the moment in the "
        "domain's zone."
    )
    baseline: Literal["training_set", "previous", "season"] = Field(
        default="training_set",
        description="What a window is held against: the training set, the windows before, or the one a season before.",
    )
    baseline_windows: int = Field(
        default=1, ge=1, description="How many windows before are the baseline; how many windows a season has."
    )
    thresholds: Thresholds = Field(default=Thresholds(), description="From where on a feature counts as drifted.")
    features: dict[str, Thresholds] = Field(default={}, description="Feature → thresholds of its own.")
    minimum_rows: int = Field(default=500, ge=1, description="Rows below which a window says nothing.")
    windows: int = Field(default=60, ge=1, description="How many of the latest windows are compared.")
    null_flood: float = Field(
        default=0.5, gt=0, le=1, description="Rise of the share of missing values that is no drift, but broken input."
    )
    volume: Volume = Field(default=Volume(), description="How many rows a window has to have.")
    failed_share: float = Field(
        default=0.05, ge=0, le=1, description="Share of a window's requests without an answer that is allowed."
    )
    freshness_hours: Limit | None = Field(
        default=None, description="Age of the newest event from which on nothing is fresh; not asked without it."
    )
    quality: Quality | None = Field(
        default=Quality(), description="What the answers are worth once labels have come; null leaves it out."
    )
    retrain: Retrain | None = Field(default=None, description="When the model is learned anew; never without it.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The monitor's asset with a check a family, and what it decides about retraining."""
        key = key_of(context)
        model = declared(context, self.champion_of, Model, by=key)
        training = model.training(context, self.champion_of)
        self._require(context, training)
        watched = self._watched(context, model, training)
        made = [self._monitor(context, watched)]
        if self.retrain is not None:
            of = retraining.Retrained(self.champion_of, model.training_set, self.retrain.record)
            made.append(retraining.asset_of(context, of, lambda: self._monitoring(key, watched)))
        return dg.Definitions(assets=made)

    def _monitor(self, context: dg.ComponentLoadContext, watched: "dict[str, object]") -> dg.AssetsDefinition:
        key, mode = key_of(context), domain_of(context.path).clock

        @asset(
            context,
            description=self.description,
            deps=[str(watched["table"]), f"{self.champion_of}__{CHAMPION}", *self._labels(watched)],
            code=self._code(watched),
            kinds={"deltalake", "monitor"},
            of_model=self.champion_of,
            checks={family: MEANINGS[family] for family in FAMILIES},
        )
        def monitor(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            compute: dg.ResourceParam[Compute],
            model_registry: dg.ResourceParam[ModelRegistry],
        ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
            from ml_platform.engine import clock
            from ml_platform.engine.kept_report import report_of
            from ml_platform.engine.monitoring import watch

            monitored = watch(
                self._monitoring(key, watched), clock.now(lakehouse, mode), lakehouse, compute, model_registry
            )
            report = report_of(monitored, self.description, lakehouse)
            return monitor_metadata.result(context, monitored, report)

        return monitor

    def _monitoring(self, key: str, watched: "dict[str, object]") -> "Monitoring":
        from ml_platform.engine.monitoring import Monitoring
        from ml_platform.engine.watched import Watched

        return Monitoring(key, self.champion_of, Watched(**watched), self._rules, self._code(watched))  # type: ignore[arg-type]

    def _code(self, watched: "dict[str, object]") -> str:
        return digest(self.model_dump(exclude={"description", "retrain"}), watched)

    @property
    def _rules(self) -> MonitorRules:
        return MonitorRules(
            thresholds=self.thresholds.record,
            of_features={name: own.record for name, own in self.features.items()},
            minimum_rows=self.minimum_rows,
            baseline=self.baseline,
            baseline_windows=self.baseline_windows,
            windows=self.windows,
            null_flood=self.null_flood,
            volume=(self.volume.least, self.volume.most),
            failed_share=self.failed_share,
            freshness_hours=self.freshness_hours,
            quality=self.quality.record if self.quality else None,
        )

    def _watched(self, context: dg.ComponentLoadContext, model: Model, training: TrainingSet) -> "dict[str, object]":
        """Whose rows are watched, as `engine.watched` takes it, which is not imported before a run."""
        return {
            "table": self.predictions or f"{self.log_of}__log",
            "logged": self.log_of is not None,
            "entity": tuple(training.entity),
            "event_time": training.event_time,
            "window": self.window,
            "timezone": domain_of(context.path).timezone,
            "task": model.task,
            "labels": training.events if self.quality else None,
            "label": training.label,
            "where": training.where,
            "redacted": tuple(declared(context, self.log_of, Endpoint, by=key_of(context)).log.redact)
            if self.log_of
            else (),
        }

    @staticmethod
    def _labels(watched: "dict[str, object]") -> list[str]:
        return [str(watched["labels"])] if watched["labels"] else []

    def _require(self, context: dg.ComponentLoadContext, training: TrainingSet) -> None:
        """Returns where what is declared goes together. Raises DeclarationError by file."""
        key = key_of(context)
        if (self.predictions is None) == (self.log_of is None):
            raise DeclarationError(
                f"{place(context)}: predictions and log_of are both {'set' if self.predictions else 'left out'}, but a "
                "monitor watches one of the two",
                remedy="Write predictions for a batch, log_of for an endpoint",
            )
        if self.predictions:
            declared(context, self.predictions, Predictions, by=key)
        if self.log_of:
            self._require_log(context, declared(context, self.log_of, Endpoint, by=key), training)
        if self.baseline == "season" and self.baseline_windows < 2:
            raise DeclarationError(
                f"{place(context)}: baseline is season, but baseline_windows is {self.baseline_windows}",
                allowed="It is how many windows a season has, for instance 12 months, 7 days or 168 hours",
            )
        unknown = sorted(set(self.features) - set(training.feature_types(context, key)))
        if unknown:
            raise DeclarationError(
                f"{place(context)}: features has {unknown[0]!r}, but the model learns from no such feature",
                allowed=nearest(unknown[0], training.feature_types(context, key)),
            )

    def _require_log(self, context: dg.ComponentLoadContext, endpoint: Endpoint, training: TrainingSet) -> None:
        if endpoint.champion_of != self.champion_of:
            raise DeclarationError(
                f"{place(context)}: {self.log_of} serves {endpoint.champion_of}, but the monitor is of "
                f"{self.champion_of}",
                remedy="Name the model that it serves in champion_of",
            )
        if self.window not in FORMATS:
            raise DeclarationError(
                f"{place(context)}: window is {self.window!r}, but the windows of a log are cut from time",
                allowed=f"They go by {', '.join(FORMATS)}",
            )
        days = endpoint.log.retention_days
        if self.quality and days is not None and days * 24 <= self.quality.within_hours:
            raise DeclarationError(
                f"{place(context)}: quality.within_hours is {self.quality.within_hours:g}, but {self.log_of} keeps its "
                f"log for {days:g} days, so that answers are gone before their labels have come",
                remedy="Keep the log for longer, expect labels sooner, or write quality: null",
            )
        lacking = [name for name in training.entity if name not in endpoint.request or name in endpoint.log.redact]
        if self.quality and lacking:
            raise DeclarationError(
                f"{place(context)}: quality joins labels by {', '.join(training.entity)}, but requests to "
                f"{self.log_of} carry no {', '.join(lacking)} in the clear",
                remedy="Write quality: null, or let requests carry it",
            )
