"""The records of a request that was taken: what the prediction log keeps of each of its rows."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ml_platform.jobs.serving.protocol import InferRequest
from ml_platform.records.prediction import ServedPrediction

Output = float | Mapping[str, float]


@dataclass(frozen=True)
class Answer:
    """What the models said: a version, an output and the features seen for each row; view → event times used.

    computes: version → what its features are computed by, without a row's time.
    """

    versions: Sequence[int]
    outputs: Sequence[Output]
    features: Sequence[Mapping[str, object]]
    views: Mapping[str, Sequence[datetime | None]]
    computes: Mapping[int, Mapping[str, None]] = field(default_factory=dict)

    def only(self, rows: slice) -> Answer:
        """What was said of those rows."""
        views = {name: times[rows] for name, times in self.views.items()}
        return Answer(self.versions[rows], self.outputs[rows], self.features[rows], views, self.computes)


@dataclass(frozen=True)
class Taken:
    """A request that a revision of an endpoint took, whatever becomes of it.

    named: whether it named the version. ids: of its rows. started: of `time.perf_counter`, when it came.
    """

    endpoint: str
    revision: int
    request: InferRequest
    named: bool
    ids: Sequence[str]
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def now(cls, endpoint: str, revision: int, request: InferRequest, named: bool, started: float) -> Taken:
        """The request with an id of its own for each row."""
        unique = uuid.uuid4().hex
        return cls(endpoint, revision, request, named, [f"{unique}-{row}" for row in range(len(request.at))], started)

    def answered(self, answer: Answer) -> list[ServedPrediction]:
        """A record for each row, with its answer."""
        return self._records(answer, "", self.started, shadow=False)

    def shadowed(self, answer: Answer, started: float) -> list[ServedPrediction]:
        """A record for each row of what the shadow said, from when it began to."""
        return self._records(answer, "", started, shadow=True)

    def failed(
        self, versions: Sequence[int], error: Exception, *, shadow: bool = False, started: float | None = None
    ) -> list[ServedPrediction]:
        """A record for each row, which has no answer because of the error."""
        rows = len(versions)
        nothing = Answer(versions, [math.nan] * rows, [{}] * rows, {})
        told = f"{type(error).__name__}: {error}"
        return self._records(nothing, told, self.started if started is None else started, shadow=shadow)

    def _records(self, answer: Answer, error: str, started: float, *, shadow: bool) -> list[ServedPrediction]:
        now, latency_ms = datetime.now(UTC), (time.perf_counter() - started) * 1000
        return [
            ServedPrediction(
                request_id=self.ids[row],
                endpoint=self.endpoint,
                revision=self.revision,
                model_version=answer.versions[row],
                served_at=now,
                event_time=moment,
                inputs={name: values[row] for name, values in self.request.columns.items()},
                features=answer.features[row],
                views={
                    **{name: written(times[row]) for name, times in answer.views.items()},
                    **answer.computes.get(answer.versions[row], {}),
                },
                output=answer.outputs[row],
                latency_ms=latency_ms,
                error=error,
                shadow=shadow,
                named=self.named,
            )
            for row, moment in enumerate(self.request.at)
        ]


def written(moment: datetime | None) -> str | None:
    """The moment as the log has it."""
    return moment.isoformat() if moment else None
