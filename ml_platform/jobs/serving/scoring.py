"""The scoring of a revision: what its loaded versions say of rows, of one request or of several that came together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ml_platform.engine.online import Columns, enrich, row_time
from ml_platform.engine.request_time import ComputationError, computed, taken, version_of
from ml_platform.engine.scorer import Scorer
from ml_platform.jobs.serving.protocol import InferRequest, moment, together
from ml_platform.jobs.serving.record import Answer, Output, Taken
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.records.feature import FeatureView
from ml_platform.roles.feature_store import FeatureStore


class UncomputedError(RequestError):
    """What a version computes of a request cannot be computed: the caller may be at fault, or the version is."""


@dataclass(frozen=True)
class Begun:
    """A request that was understood. versions: the one that answers each of its rows."""

    taken: Taken
    versions: Sequence[int]


@dataclass(frozen=True)
class Said:
    """What was said of a request. columns: what its rows were given, look-ups included."""

    answer: Answer
    columns: Mapping[str, Sequence[object]]


class Scoring:
    """The models of a revision, ready to be asked from any thread.

    views: what is looked up, in that order. scorers: by version. store: None where the caller looks features up.
    classes: of all the models, where they tell classes apart.
    """

    def __init__(
        self,
        views: Sequence[FeatureView],
        scorers: Mapping[int, Scorer],
        store: FeatureStore | None,
        classes: Sequence[str],
    ) -> None:
        self.scorers, self.store = scorers, store
        self._views, self._classes = views, classes
        # Version → what its features are computed by, without a row's time.
        self._computes = {number: dict.fromkeys(map(version_of, it.request_time)) for number, it in scorers.items()}

    def said(self, takes: Sequence[Begun]) -> Sequence[Said]:
        """What is said of each request; their rows are looked up and scored as one batch.

        Raises what the first fault of any of them is.
        """
        request = together([each.taken.request for each in takes])
        columns, times = self._enriched(request)
        answer = self.scored(columns, times, [one for each in takes for one in each.versions], request.at)
        if len(takes) == 1:
            return [Said(answer, columns)]
        found, start = [], 0
        for each in takes:
            rows = slice(start, start := start + len(each.versions))
            found.append(Said(answer.only(rows), {name: values[rows] for name, values in columns.items()}))
        return found

    def scored(
        self,
        columns: Mapping[str, Sequence[object]],
        views: Mapping[str, Sequence[datetime | None]],
        by: Sequence[int],
        at: Sequence[datetime],
    ) -> Answer:
        """What the version of each row says, which sees the rows that are its own as one batch."""
        outputs: list[Output] = [0.0] * len(by)
        features: list[Mapping[str, object]] = [{}] * len(by)
        for version in set(by):
            rows = [row for row, chosen in enumerate(by) if chosen == version]
            seen = self._seen(version, columns, rows, at)
            for position, (row, output) in enumerate(zip(rows, self.scorers[version].predict(seen), strict=True)):
                told = output.tolist()
                outputs[row] = dict(zip(self._classes, told, strict=True)) if self._classes else told
                features[row] = {name: values[position] for name, values in seen.items()}
        return Answer(by, outputs, features, views, self._computes)

    def _enriched(self, request: InferRequest) -> tuple[Columns, dict[str, list[datetime | None]]]:
        """The columns that the models see, and view → event time of each row's answer."""
        if self.store:
            return enrich(request.columns, request.at, self._views, self.store.look_up)
        names = {row_time(view): view.name for view in self._views}
        sent = {name: list(values) for name, values in request.looked_up.items()}
        times = {
            view: [None if text is None else moment(str(text), name, row) for row, text in enumerate(sent.pop(name))]
            for name, view in names.items()
        }
        return {**{name: list(values) for name, values in request.columns.items()}, **sent}, times

    def _seen(
        self, version: int, columns: Mapping[str, Sequence[object]], rows: Sequence[int], at: Sequence[datetime]
    ) -> Mapping[str, Sequence[object]]:
        """What a version sees: what was given, and what is computed of it by the functions that it learned from."""
        scorer = self.scorers[version]
        if not scorer.request_time and len(rows) == len(at):
            return {feature.name: columns[feature.name] for feature in scorer.features}
        names = dict.fromkeys([*taken(scorer.request_time), *(feature.name for feature in scorer.features)])
        given: Columns = {name: [columns[name][row] for row in rows] for name in names if name in columns}
        try:
            given |= computed(scorer.request_time, given, [at[row] for row in rows])
        except ComputationError as error:
            raise UncomputedError(f"the request cannot be answered: {error}") from error
        return {feature.name: given[feature.name] for feature in scorer.features}
