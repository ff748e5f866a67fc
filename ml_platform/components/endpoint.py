"""An endpoint: the champion of a model, served at an address, and the log of what it answered."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset, asset_key, digest, key_of, place
from ml_platform.components.declaration import Declaration
from ml_platform.components.deployed import Deployed, Services
from ml_platform.components.endpoint_log import DeclaredLog
from ml_platform.components.making import declared
from ml_platform.components.model import CHAMPION, DeclaredNeeds, Model
from ml_platform.components.rollout import HOLDS, ROLLOUT, Attempt, Rollout
from ml_platform.errors import DeclarationError
from ml_platform.records.feature import FeatureView
from ml_platform.roles.compute import Compute
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.roles.prediction_log import PredictionLog

if TYPE_CHECKING:
    from ml_platform.engine.skew import Skew

SKEW = "skew"


class Endpoint(Declaration):
    """A serving address that outlives the run which deployed it; it looks features up and logs every answer."""

    description: str = Field(description="What it answers, for people.")
    champion_of: str = Field(description="Asset key of the model whose champion is served.")
    request: dict[str, Literal["string", "integer", "number", "boolean"]] = Field(
        description="What a request carries beside event_time, name → type; look-ups give the rest."
    )
    skew_tolerance: float = Field(
        default=0,
        ge=0,
        lt=1,
        description="By how much a number that was served may differ from the offline one before it is skew: in its "
        "unit, or as a share where it is above 1.",
    )
    needs: DeclaredNeeds = Field(default=DeclaredNeeds(), description="What serving asks of its machine.")
    group: str = Field(default="", description="Endpoints of one group share a server, where their host can.")
    log: DeclaredLog = Field(default=DeclaredLog(), description="For how long its log is kept, and what it hides.")
    rollout: Rollout = Field(default=Rollout(), description="How a new champion comes to serve.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The endpoint and its log."""
        model = declared(context, self.champion_of, Model, by=key_of(context))
        return dg.Definitions(assets=[self._endpoint(context, model), self._log(context, model)])

    def _endpoint(self, context: dg.ComponentLoadContext, model: Model) -> dg.AssetsDefinition:
        training = model.training(context, self.champion_of)
        key = key_of(context)
        views = training.views(context, model.training_set)
        self._require_keys(context, training.carried, views)
        training.require_given(context, model.training_set, self.request, place(context))
        self.log.require(context, self.request, views)
        self.rollout.require(context)

        deployed = Deployed(self, key, training.event_time, model.training_set, model.gate.split, views)

        @asset(
            context,
            description=self.description,
            deps=[f"{self.champion_of}__{CHAMPION}", *views],
            code=digest(self.model_dump(exclude={"description"})),
            kinds={"endpoint"},
            metadata=self.rollout.asked(context),
            of_model=self.champion_of,
            checks={ROLLOUT: HOLDS},
        )
        def endpoint(
            context: dg.AssetExecutionContext,
            config: Attempt,
            lakehouse: dg.ResourceParam[Lakehouse],
            model_registry: dg.ResourceParam[ModelRegistry],
            endpoint_host: dg.ResourceParam[EndpointHost],
            feature_store: dg.ResourceParam[FeatureStore],
            prediction_log: dg.ResourceParam[PredictionLog],
        ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
            services = Services(lakehouse, model_registry, endpoint_host, feature_store, prediction_log)
            return deployed.rolled(services, retry=config.retry, say=context.log.info)

        return endpoint

    def _log(self, context: dg.ComponentLoadContext, model: Model) -> dg.AssetsDefinition:
        key = key_of(context)
        classes = model.task == "multiclass"
        name = key.rpartition("/")[2]
        training = model.training(context, self.champion_of)
        views = training.views(context, model.training_set)
        computed = training.request_time(context, model.training_set)

        @asset(
            context,
            description=f"Every request that {key} answered: inputs, features as seen, versions, output.",
            deps=[dg.AssetDep(asset_key(key))],
            code=digest("log"),
            kinds={"deltalake"},
            suffix="__log",
            retention_days=self.log.upkeep_days(context),
            of_model=self.champion_of,
            checks={SKEW: "Features as they were seen are those that are computed again of the same moment."},
        )
        def log(
            context: dg.AssetExecutionContext,
            lakehouse: dg.ResourceParam[Lakehouse],
            prediction_log: dg.ResourceParam[PredictionLog],
            compute: dg.ResourceParam[Compute],
        ) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
            from ml_platform.engine import delta
            from ml_platform.engine.logged import collect
            from ml_platform.engine.redaction import redaction
            from ml_platform.engine.skew import Audited, audit

            table, hidden = lakehouse.table(f"{key}__log"), redaction(self.log.redact)
            collected = collect(name, table, prediction_log, classes=classes)
            of = Audited(key, self.champion_of, views, [*computed.values()], self.skew_tolerance, hidden)
            try:
                found = audit(of, collected.snapshot, lakehouse, compute)
            finally:
                # What is too old goes, whatever becomes of the audit.
                self.log.keep(name, table, prediction_log)
            kept = delta.existing(table)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(delta.fingerprint(kept)),
                metadata=metadata.of_table(kept, collected.commit, collected.seconds),
                check_results=[_check(found)],
            )

        return log

    def _require_keys(
        self, context: dg.ComponentLoadContext, entity: Sequence[str], views: Mapping[str, FeatureView]
    ) -> None:
        """Returns where a request names an event that was learned from, and says enough to look every view up."""
        for column in self.request:
            if column not in entity:
                raise DeclarationError(
                    f"{place(context)}: request is to carry {column!r}, but nothing was learned by that column",
                    allowed=f"An event is named by {', '.join(entity)}; look-ups give the rest",
                )
        given = set(self.request)
        for key, view in views.items():
            lacking = [column for column in view.entity if column not in given]
            if lacking:
                raise DeclarationError(
                    f"{place(context)}: {key} is looked up by {', '.join(lacking)}, but neither the request nor an "
                    "earlier view gives it",
                    remedy="Add it to request",
                )
            given.update(view.features)


def _check(found: "Skew") -> dg.AssetCheckResult:
    """Failed where what was served is not what the offline path gives; nothing is promoted until it is mended."""
    differing = ", ".join(f"{feature} in {count}" for feature, count in found.differing.items())
    return dg.AssetCheckResult(
        check_name=SKEW,
        passed=not found.differing,
        description=f"Of {found.requests:,} requests, served and offline differ: {differing}."
        if differing
        else "Kept.",
        metadata={"requests": found.requests, "example": metadata.as_json(dict(found.example))},
    )
