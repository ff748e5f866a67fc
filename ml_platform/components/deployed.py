"""A deployed endpoint: what one run of its asset does, as far as its rollout may go now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform import endpoint_metadata
from ml_platform.components.rollout import ROLLOUT, check

if TYPE_CHECKING:
    from ml_platform.components.endpoint import Endpoint
    from ml_platform.engine.rolling import RolledOut
    from ml_platform.engine.rollout_serving import Rolling
    from ml_platform.records.feature import FeatureView
    from ml_platform.records.model import ModelVersion
    from ml_platform.roles.endpoint_host import EndpointHost
    from ml_platform.roles.feature_store import FeatureStore
    from ml_platform.roles.lakehouse import Lakehouse
    from ml_platform.roles.model_registry import ModelRegistry
    from ml_platform.roles.prediction_log import PredictionLog


@dataclass(frozen=True)
class Services:
    """Who plays the roles that an endpoint takes."""

    lakehouse: Lakehouse
    model_registry: ModelRegistry
    endpoint_host: EndpointHost
    feature_store: FeatureStore
    prediction_log: PredictionLog


@dataclass(frozen=True)
class Deployed:
    """An endpoint as it is declared, with what its model learned from.

    key: its asset key. event_time: the column of events. training_set: asset key. split: the one that its gate examines
    on. views: asset key → feature view, in the order of look-ups.
    """

    declared: Endpoint
    key: str
    event_time: str
    training_set: str
    split: str
    views: Mapping[str, FeatureView]

    def rolled(self, by: Services, *, retry: bool, say: Callable[[str], None]) -> dg.MaterializeResult[Any]:
        """What the endpoint's asset gives, once the champion serves as far as its rollout may go.

        retry: a version that went back is tried again. say: told of every step. Raises what `Roller.run` does.
        """
        import time

        from ml_platform.engine import alias_log, clock, rolled_out
        from ml_platform.engine.champion import champion_of
        from ml_platform.engine.rolling import Roller
        from ml_platform.engine.rollout_log import RolloutLog

        started = time.monotonic()
        champion = champion_of(self.declared.champion_of, by.model_registry)
        alias_log.reconciled(champion.name, by.model_registry)  # what somebody moved by hand is told before it serves
        rolling = self._rolling(by, champion)
        log = RolloutLog(by.lakehouse.table(f"{self.key}__{ROLLOUT}"))
        services = (by.endpoint_host, by.model_registry, by.prediction_log, log)
        done = Roller(rolling, *services, lambda: clock.now(by.lakehouse, "real"), say).run(retry=retry)
        rolled_out.tell(self.key, done.state, clock.now(by.lakehouse, "real"), champion.name, by.model_registry)
        revision = done.serving()
        told = self._told(by, done, time.monotonic() - started)
        serving = " and ".join(revision.digests[one] for one, share in revision.split.shares.items() if share)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"revision {revision.number} of {serving}"),
            metadata={**told, **endpoint_metadata.of_rollout(done, log.latest(20))},
            check_results=[check(done)],
        )

    def _rolling(self, by: Services, champion: ModelVersion) -> Rolling:
        from ml_platform.binding import resolved
        from ml_platform.engine.parity import Evaluation
        from ml_platform.engine.rollout_serving import Rolling
        from ml_platform.engine.terms import Terms

        endpoint = self.declared
        terms = Terms(champion.number, champion.digest, dict(endpoint.request), tuple(self.views.values()))
        evaluated = Evaluation(champion, self.split, self.event_time, terms, by.lakehouse, by.feature_store)
        return Rolling(
            key=self.key,
            name=self.key.rpartition("/")[2],
            champion=champion,
            terms=terms,
            plan=endpoint.rollout.plan(),
            needs=endpoint.needs.record,
            group=endpoint.group,
            redact=tuple(endpoint.log.redact),
            feature_store=resolved(by.feature_store),
            prediction_log=resolved(by.prediction_log),
            evaluated=evaluated.rows,
            answered=evaluated.answered,
        )

    def _told(self, by: Services, done: RolledOut, seconds: float) -> dict[str, Any]:
        from ml_platform.engine.example import example_request

        published = {view.name: by.feature_store.published(view) for view in self.views.values()}
        example = example_request(self.training_set, self.event_time, self.declared.request, by.lakehouse)
        # Managed endpoints ask for their cloud's own credentials.
        open_to_all = not hasattr(by.endpoint_host, "REACHES")
        return endpoint_metadata.of_revision(
            done.before, done.serving(), published, example, seconds, open_to_all=open_to_all
        )
