"""A model: fitted on a training set as a candidate, and promoted to champion by a gate of its own."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field

from ml_platform import model_metadata
from ml_platform.binding import environment, home, in_force, service
from ml_platform.components.asset import asset, digest, key_of
from ml_platform.components.declaration import Declaration
from ml_platform.components.gate import Gate
from ml_platform.components.making import declared
from ml_platform.components.model_rules import ModelRules
from ml_platform.components.preprocessing import Written as Steps
from ml_platform.components.promotion import Promotion as Style
from ml_platform.components.training_set import TrainingSet
from ml_platform.components.tuning import Budget, EarlyStopping, Tune
from ml_platform.engine import program
from ml_platform.records.job import Needs
from ml_platform.records.metric import Metric, Task
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    from ml_platform.engine.promotion import Promoted

CHAMPION = "champion"


class DeclaredNeeds(dg.Resolvable, dg.Model):
    """What a job asks of its machine; profiles map it to instances."""

    cpu: float = Field(default=1.0, gt=0, description="Cores.")
    memory_gib: float = Field(default=2.0, gt=0, description="GiB of memory.")
    accelerator: str | None = Field(default=None, description="A portable accelerator name; none without it.")

    @property
    def record(self) -> Needs:
        """The needs as they travel."""
        return Needs(self.cpu, self.memory_gib, self.accelerator)


class Model(Declaration):
    """An estimator fitted on a training set, with a simpler one fitted beside it for comparison."""

    description: str = Field(description="The question that it answers, for people.")
    training_set: str = Field(description="Asset key of the training set.")
    task: Task = Field(
        description="What is predicted: that the label is true (binary), its class (multiclass) or value (regression)."
    )
    estimator: Literal["baseline", "linear", "gradient_boosting", "automl", "python"] = Field(
        description="What is fitted; automl finds it, python is the functions fit and predict in <folder>.py."
    )
    baseline: Literal["baseline", "linear", "gradient_boosting"] = Field(
        default="baseline", description="What is fitted beside it, on the same rows, for comparison."
    )
    parameters: dict[str, float | int | str | bool] = Field(
        default={}, description="Hyper-parameters of the estimator; defaults hold for the others."
    )
    preprocessing: Steps = Field(
        default=[], description="Steps on features, fitted on train, done alike when the model is fitted and served."
    )
    class_weights: Literal["balanced"] | dict[str, float] = Field(
        default={}, description="balanced, or class → weight of its rows; of a binary task positive and negative."
    )
    calibration: Literal["none", "sigmoid", "isotonic", "temperature"] = Field(
        default="none", description="How probabilities are made to happen as often as they say, by the validate split."
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="When boosting ends; after 30 rounds without a better loss where it is left out."
    )
    tune: Tune | None = Field(default=None, description="A search for parameters, before the fit.")
    automl: Budget | None = Field(
        default=None, description="What the estimator automl may spend on its search over estimators and parameters."
    )
    metrics: list[Metric] = Field(default=[], description="The metrics that are told; all of the task without it.")
    slices: list[str] = Field(
        default=[], description="Columns of the training set by whose values the quality on the test split is told."
    )
    seed: int = Field(default=0, ge=0, description="Makes the fit repeatable.")
    needs: DeclaredNeeds = Field(default=DeclaredNeeds(), description="What the fit asks of its machine.")
    gate: Gate = Field(description="What a version has to pass to become champion.")
    promotion: Style = Field(default=Style(), description="What goes from one environment to the next.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The candidate and its champion."""
        return dg.Definitions(assets=[self._candidate(context), self._champion(context)])

    def training(self, context: dg.ComponentLoadContext, key: str) -> TrainingSet:
        """The declaration of the training set. key: the model's own."""
        return declared(context, self.training_set, TrainingSet, by=key)

    def _candidate(self, context: dg.ComponentLoadContext) -> dg.AssetsDefinition:
        key = key_of(context)
        training = self.training(context, key)
        features = training.feature_types(context, self.training_set)
        fits = program.digest("jobs.fit", kept=home() / "definitions")
        rules = ModelRules(self, context, features, list(dict.fromkeys([*training.of_events, *features])))
        rules.require()
        settings = self._settings(rules)
        code = digest(self.model_dump(exclude={"description", "gate", "promotion"}), features, settings, fits)
        views = training.views(context, self.training_set)
        computed = training.request_time(context, self.training_set)

        @asset(
            context,
            description=self.description,
            deps=[self.training_set],
            code=code,
            kinds={"model", self.estimator.replace("_", "")},
            follows=False,
            of_model=key,
        )
        def model(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            job_runner: dg.ResourceParam[JobRunner],
            model_registry: dg.ResourceParam[ModelRegistry],
        ) -> dg.MaterializeResult[Any]:
            from ml_platform.engine.fitting import Fitting, fit

            if (source := self.promotion.source()) is not None:
                return self._taken(context, key, source, lakehouse, model_registry)
            fitting = Fitting(
                model=key,
                training_set=self.training_set,
                label=training.label,
                features=features,
                task=self.task,
                estimator=self.estimator,
                baseline=self.baseline,
                parameters={**self.parameters, **self._stopping},
                seed=self.seed,
                needs=self.needs.record,
                code=code,
                question=training.question(views, computed),
                settings=settings,
            )
            fitted = fit(fitting, lakehouse, job_runner, model_registry, context.log.info)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(fitted.version.digest),
                metadata=model_metadata.of_model(fitted),
            )

        return model

    def _taken(
        self,
        context: dg.AssetExecutionContext,
        key: str,
        source: str,
        lakehouse: Lakehouse,
        registry: ModelRegistry,
    ) -> dg.MaterializeResult[Any]:
        """The candidate where it is the champion of another environment."""
        from ml_platform.engine.taking import Taking, take

        with in_force(source):
            there: ModelRegistry = service("model_registry")
        taking = Taking(key, self.training_set, source, environment())
        taken = take(taking, there, lakehouse, registry, context.log.info)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(taken.version.digest), metadata=model_metadata.of_taken(taken, source)
        )

    def _settings(self, rules: ModelRules) -> dict[str, Any]:
        """What the fit is told beside its data, estimator and parameters."""
        searches = {"tune": self.tune, "automl": self.automl}
        weights = self.class_weights
        return {
            "preprocessing": [asdict(step) for step in rules.steps()],
            "balanced": weights == "balanced",
            "class_weights": {} if isinstance(weights, str) else dict(weights),
            "calibration": self.calibration,
            "metrics": list(self.metrics),
            "slices": list(self.slices),
            "source": rules.source(),
            **{name: search.model_dump() for name, search in searches.items() if search is not None},
        }

    @property
    def _stopping(self) -> dict[str, float | int]:
        """The early stopping as the parameters that it stands for."""
        stopping = self.early_stopping
        if stopping is None:
            return {}
        return {"early_stopping_rounds": stopping.rounds, "early_stopping_min_delta": stopping.min_delta}

    def _champion(self, context: dg.ComponentLoadContext) -> dg.AssetsDefinition:
        key = key_of(context)
        label = self.training(context, key).label
        code = digest(self.gate.model_dump(exclude={"promote"}))

        @asset(
            context,
            description=f"The version of {key} that serves. Materializing it runs the gate on the candidate.",
            deps=[key],
            code=code,
            kinds={"model", "gate"},
            suffix=f"__{CHAMPION}",
            follows=self.gate.promote == "automatic",
            tags=self.gate.tags,
            of_model=key,
            checks={"gate": "The candidate keeps every rule of the gate, and is better than the champion that stands."},
        )
        def champion(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            job_runner: dg.ResourceParam[JobRunner],
            model_registry: dg.ResourceParam[ModelRegistry],
        ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
            from ml_platform.engine.examination import Promotion
            from ml_platform.engine.promotion import promote

            promotion = Promotion(
                model=key,
                label=label,
                split=self.gate.split,
                rules=self.gate.rules(self.task, self.slices, self.seed),
                needs=self.needs.record,
                withheld=self.gate.withheld(context),
            )
            done = promote(promotion, lakehouse, job_runner, model_registry, context.log.info)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(done.champion.digest),
                metadata=model_metadata.of_promotion(done),
                check_results=[_check(done)],
            )

        return champion


def _check(done: "Promoted") -> dg.AssetCheckResult:
    """Failed where the candidate was refused; it blocks nothing, for the champion goes on.

    An endpoint that went back from the champion is told of, but is no part of the decision.
    """
    from ml_platform.engine.rolled_out import went_back

    return dg.AssetCheckResult(
        passed=done.decision.promoted,
        check_name="gate",
        description=" ".join([*went_back(done.champion), *done.decision.reasons]),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=model_metadata.of_examination(done),
    )
