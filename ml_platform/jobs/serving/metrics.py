"""The server's figures, in the text that Prometheus scrapes.

https://prometheus.io/docs/instrumenting/exposition_formats/ says how it is written.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What was asked and answered. It is told by one thread, the server's event loop.

    in_flight: requests that were taken and are not answered yet.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sum: Counter[str] = Counter()
        self._batches: Counter[str] = Counter()

    def answered(self, model: str, version: str, code: int, seconds: float) -> None:
        """A request was answered with that HTTP status. version: who answered; empty where nobody did."""
        self._requests[model, version, code] += 1
        counts = self._seconds.setdefault(model, [0] * (len(_BOUNDS) + 1))
        counts[bisect_left(_BOUNDS, seconds)] += 1
        self._sum[model] += seconds  # type: ignore[assignment] # a counter adds whatever adds

    def batched(self, model: str) -> None:
        """A batch of requests was begun; how many there are in one is requests by batches."""
        self._batches[model] += 1

    def written(self, log_lag_seconds: Mapping[str, float], shadows_dropped: Mapping[str, int]) -> str:
        """All of it. log_lag_seconds, shadows_dropped: by model, as they stand now."""
        return "".join(
            [
                *_family("requests_total", "counter", "Requests, by who answered and with which HTTP status."),
                *(
                    _sample("requests_total", {"model": model, "version": version, "code": str(code)}, count)
                    for (model, version, code), count in sorted(self._requests.items())
                ),
                *_family("request_seconds", "histogram", "From a request's head to its answer."),
                *(line for model in sorted(self._seconds) for line in self._histogram(model)),
                *_family("requests_in_flight", "gauge", "Requests that are not answered yet."),
                _sample("requests_in_flight", {}, self.in_flight),
                *_family("batches_total", "counter", "Batches in which short requests were answered together."),
                *(_sample("batches_total", {"model": name}, n) for name, n in sorted(self._batches.items())),
                *_family("log_lag_seconds", "gauge", "For how long the oldest logged record is not on the disk yet."),
                *(_sample("log_lag_seconds", {"model": name}, lag) for name, lag in sorted(log_lag_seconds.items())),
                *_family("shadow_dropped_total", "counter", "Requests that found the shadow too busy."),
                *(_sample("shadow_dropped_total", {"model": name}, n) for name, n in sorted(shadows_dropped.items())),
            ]
        )

    def _histogram(self, model: str) -> Iterable[str]:
        reached = list(accumulate(self._seconds[model]))
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), reached, strict=True):
            yield _sample("request_seconds_bucket", {"model": model, "le": bound}, count)
        yield _sample("request_seconds_sum", {"model": model}, self._sum[model])
        yield _sample("request_seconds_count", {"model": model}, reached[-1])


def _family(name: str, kind: str, told: str) -> list[str]:
    return [f"# HELP ml_platform_{name} {told}\n", f"# TYPE ml_platform_{name} {kind}\n"]


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"ml_platform_{name}{{{told}}} {value}\n" if told else f"ml_platform_{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
