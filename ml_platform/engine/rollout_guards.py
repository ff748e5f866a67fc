"""The guards of a rollout: what the prediction log says of a version, held against what was declared."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ml_platform.engine.drift import DriftRules, category_statistics, measure, number_statistics
from ml_platform.engine.rollout import Finding, Guards
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.prediction_log import PredictionLog

_PAGE = 20_000
_KEPT = 50_000


@dataclass
class Answers:
    """What one version answered. outputs, latencies_ms: the latest, without those of failed requests.

    An output is the likeliest class where there are classes. answered, errors: how many there were.
    """

    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    outputs: deque[float | str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    answered: int = 0
    errors: int = 0

    @property
    def requests(self) -> int:
        """How many it was asked, errors included."""
        return self.answered + self.errors

    def take_all(self, records: Sequence[ServedPrediction], version: int, *, shadow: bool) -> None:
        """The version's answers among the records are counted. shadow: whether those to copies are meant."""
        for record in records:
            if record.model_version == version and record.shadow == shadow and not record.named:
                self._take(record)

    def _take(self, record: ServedPrediction) -> None:
        if record.error:
            self.errors += 1
            return
        self.answered += 1
        output = record.output
        self.outputs.append(max(output, key=output.__getitem__) if isinstance(output, Mapping) else output)
        self.latencies_ms.append(record.latency_ms)


def pages(log: PredictionLog, endpoint: str, cursor: int) -> Iterator[tuple[Sequence[ServedPrediction], int]]:
    """The records after a cursor, page by page, each with the cursor after it."""
    while True:
        records, after = log.since(endpoint, cursor, _PAGE)
        yield records, after
        if len(records) < _PAGE:
            return
        cursor = after


def end_of(log: PredictionLog, endpoint: str, cursor: int) -> int:
    """The cursor after everything that is logged by now. cursor: one that it is not before."""
    return max((after for _, after in pages(log, endpoint, cursor)), default=cursor)


def tail_of(log: PredictionLog, endpoint: str, cursor: int) -> int:
    """A cursor, not before the one that is given, behind which is all that a look takes in, and little more."""
    ends = deque([cursor], maxlen=_KEPT // _PAGE + 2)
    ends.extend(after for _, after in pages(log, endpoint, cursor))
    return ends[0]


def answers(
    log: PredictionLog, endpoint: str, opened: int, cursor: int, versions: tuple[int, int], *, shadow: bool
) -> tuple[Answers, Answers]:
    """What the target answered since its stage began, and what the version before it did since it stood alone.

    opened, cursor: where these are in the log. versions: the target's and the other's. shadow: whether the target
    answers copies. What was asked of a named version, as for parity, is no traffic.
    """
    target, before = Answers(), Answers()
    for records, _ in pages(log, endpoint, cursor):
        target.take_all(records, versions[0], shadow=shadow)
    for records, _ in pages(log, endpoint, opened):
        before.take_all(records, versions[1], shadow=False)
    return target, before


def findings(guards: Guards, target: Answers, before: Answers) -> tuple[Finding, ...]:
    """What each declared guard found; one that has too little to go by says so, and passes nothing."""
    found = [_error_share(guards, target), _latency(guards, target), _drift(guards, target, before)]
    return tuple(each for each in found if each is not None)


def _error_share(guards: Guards, target: Answers) -> Finding | None:
    if guards.error_share is None:
        return None
    if target.requests < max(guards.minimum_requests, 1):
        return _thin("error_share", target.requests, guards)
    share = target.errors / target.requests
    passed = share <= guards.error_share
    return Finding(
        "error_share",
        passed,
        f"{_verdict(passed)}: error_share is {share:.4g} of {target.requests:,} requests, "
        f"and {guards.error_share:g} is allowed.",
    )


def _latency(guards: Guards, target: Answers) -> Finding | None:
    if guards.latency_p99_ms is None:
        return None
    if len(target.latencies_ms) < max(guards.minimum_requests, 1):
        return _thin("latency_p99_ms", len(target.latencies_ms), guards)
    slow = percentile_99(target.latencies_ms)
    passed = slow <= guards.latency_p99_ms
    return Finding(
        "latency_p99_ms",
        passed,
        f"{_verdict(passed)}: latency_p99_ms is {slow:.4g}, and {guards.latency_p99_ms:g} is allowed.",
    )


def _drift(guards: Guards, target: Answers, before: Answers) -> Finding | None:
    if guards.prediction_drift is None:
        return None
    least = min(len(target.outputs), len(before.outputs))
    if least < max(guards.minimum_requests, 1):
        return _thin("prediction_drift", least, guards, " of both versions")
    psi = prediction_drift(before.outputs, target.outputs)
    passed = psi <= guards.prediction_drift
    return Finding(
        "prediction_drift",
        passed,
        f"{_verdict(passed)}: prediction_drift is {psi:.4g}, and {guards.prediction_drift:g} is allowed.",
    )


def percentile_99(latencies_ms: Sequence[float]) -> float:
    """The nearest-rank percentile: the smallest value that at least 99 % do not exceed.

    >>> percentile_99([float(value) for value in range(1, 201)])
    198.0
    """
    return float(np.quantile(np.asarray(latencies_ms), 0.99, method="inverted_cdf"))


def prediction_drift(before: Sequence[float | str], target: Sequence[float | str]) -> float:
    """The population stability index of the target's predictions against the others', in their bins.

    Half of the predictions moved from one class to the other, 2 · 0.5 · ln(0.75 / 0.25):

    >>> round(prediction_drift(["a", "b", "b", "b"], ["a", "a", "a", "b"]), 4)
    1.0986
    """
    if isinstance(before[0], str):
        statistics = category_statistics(list(before))
    else:
        statistics = number_statistics(np.asarray(before, dtype=np.float64))
    found = measure("prediction", statistics, list(target), DriftRules()).psi
    return found if found is not None else float("inf")


def _thin(guard: str, requests: int, guards: Guards, of: str = "") -> Finding:
    return Finding(guard, None, f"{guard} waits for {guards.minimum_requests:,} answers{of}, and has {requests:,}.")


def _verdict(passed: bool) -> str:
    return "Kept" if passed else "Broken"
