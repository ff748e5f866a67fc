"""Rollouts over a host under test, without a graph: versions of a package, a log of rollouts and rows to compare by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ml_platform.engine.parity import Rows
from ml_platform.engine.rolling import RolledOut, Roller
from ml_platform.engine.rollout import Guards, Plan
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.rollout_serving import Rolling
from ml_platform.engine.terms import Terms
from ml_platform.jobs.serving.served import built
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.records.feature import FeatureView
from ml_platform.records.prediction import ServedPrediction
from ml_platform.records.table import Location
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.memory_model_registry import MemoryModelRegistry

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PLAN = Plan(steps=(0.5, 1.0), guards=Guards(error_share=0.0, minimum_requests=3, parity_rows=2))


class KilledError(BaseException):
    """The process ends here."""


class Rollouts:
    """The endpoint of a spec, rolled out version by version. moment: what its requests are about."""

    def __init__(self, host: EndpointHost, spec: EndpointSpec, moment: datetime, folder: Path) -> None:
        self.host, self._spec, self._moment = host, spec, moment
        self._registry = MemoryModelRegistry()
        self._records: PredictionLog = built(spec.prediction_log)
        self._log = RolloutLog(Location(f"endpoints/{spec.name}__rollout", str(folder / "rollout")))

    def register(self, package: Path) -> int:
        """The number of a new version."""
        return self._registry.register(self._spec.name, package, {}).number

    def roll(
        self,
        version: int,
        killed: Callable[[Entry], bool] = lambda entry: False,
        views: tuple[FeatureView, ...] | None = None,
    ) -> RolledOut:
        """How far the version comes.

        killed: whether the run ends, by KilledError, instead of writing an entry down. views: other ones that the
        version is served on.
        """
        champion = self._registry.version(self._spec.name, str(version))
        if champion is None:
            raise LookupError(f"version {version} is not registered")
        asked = [{"flight_id": flight, "event_time": self._moment} for flight in ("UA1", "B62")]
        rows = Rows(asked, {"carrier": ["UA", "B6"], "wind": [10.0, None]}, "two rows")
        rolling = Rolling(
            key=f"endpoints/{self._spec.name}",
            name=self._spec.name,
            champion=champion,
            terms=Terms(version, champion.digest, dict(self._spec.request), views or self._spec.views),
            plan=PLAN,
            needs=self._spec.needs,
            feature_store=self._spec.feature_store,
            prediction_log=self._spec.prediction_log,
            evaluated=lambda features, count: rows,
            answered=lambda records: records,
        )
        log = _Mortal(self._log, killed)
        return Roller(rolling, self.host, self._registry, self._records, log, lambda: NOW, print).run()

    def answered(self, version: int, count: int, error: str = "") -> None:
        """So many answers of the version stand in the prediction log, or so many errors."""
        one = ServedPrediction("r", self._spec.name, 1, version, NOW, self._moment, {}, {}, {}, 0.5, 1.0, error)
        self._records.append([replace(one, request_id=f"{version}-{number}") for number in range(count)])

    @property
    def serving(self) -> dict[int, float] | None:
        """Version → its share, by what the host reads back; without those that have none."""
        found = self.host.describe(self._spec.name)
        return {one: share for one, share in found.split.shares.items() if share} if found else None


class _Mortal(RolloutLog):
    """A log whose writer may be killed before it writes."""

    def __init__(self, of: RolloutLog, killed: Callable[[Entry], bool]) -> None:
        self._of, self._killed = of, killed

    def last(self) -> Entry | None:
        return self._of.last()

    def write(self, entry: Entry, at: datetime) -> Entry:
        if self._killed(entry):
            raise KilledError
        return self._of.write(entry, at)
