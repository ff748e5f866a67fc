"""What is served: one revision of an endpoint, loaded and ready to answer."""

from __future__ import annotations

import importlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

from ml_platform.engine.online import (
    Columns,
    check_features,
    check_spec,
    enrich,
    key_columns,
    looked_up,
    row_time,
    version_for,
)
from ml_platform.engine.package import digest
from ml_platform.engine.request_time import ComputationError, computed, taken, version_of
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import BindingError, DeclarationError, NotFoundError
from ml_platform.jobs.serving.protocol import OUTPUTS, InferRequest, RequestError, moment, read_request
from ml_platform.jobs.serving.wire import fingerprint, program
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.records.metric import Task
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.prediction_log import PredictionLog

# Of the code as this process has it: a server that was started before an update goes on with the old.
PROGRAM = program()
Output = float | Mapping[str, float]


@dataclass(frozen=True)
class _Answer:
    """What the models said: a version, an output and the features seen for each row; view → event times used."""

    versions: Sequence[int]
    outputs: Sequence[Output]
    features: Sequence[Mapping[str, object]]
    views: Mapping[str, Sequence[datetime | None]]


@dataclass(frozen=True)
class Served:
    """A revision as it stands in memory; it never changes, so that any thread may answer from it.

    digests: model version number → digest of the package that was loaded. fingerprint: of spec and digests.
    store: None where the caller looks features up; takes: what such a caller sends → its type.
    task, classes: of all the models. computes: version → what its features are computed by, without a row's time.
    """

    spec: EndpointSpec
    number: int
    digests: Mapping[int, str]
    fingerprint: str
    scorers: Mapping[int, Scorer]
    store: FeatureStore | None
    log: PredictionLog
    takes: Mapping[str, str]
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    computes: Mapping[int, Mapping[str, None]] = field(default_factory=dict)

    @classmethod
    def load(cls, spec: EndpointSpec, number: int) -> Self:
        """The spec's models and services, ready. Raises PlatformError for what cannot be served as the spec says."""
        check_spec(spec)
        scorers = {version: Scorer.load(Path(folder)) for version, folder in spec.packages.items()}
        task, classes = _question(spec, scorers)
        features: dict[str, str] = {}
        for scorer in scorers.values():
            mine = {feature.name: feature.type for feature in scorer.features}
            check_features(spec, mine, scorer.request_time)
            features.update(mine)
        store = _online(spec) if spec.lookup == "endpoint" else None
        functions = [each for scorer in scorers.values() for each in scorer.request_time]
        takes = {} if store else looked_up(spec.views, features, functions)
        digests = {version: digest(Path(folder)) for version, folder in spec.packages.items()}
        log: PredictionLog = built(spec.prediction_log)
        names = {number: dict.fromkeys(map(version_of, scorer.request_time)) for number, scorer in scorers.items()}
        made = fingerprint(spec, digests)
        return cls(spec, number, digests, made, scorers, store, log, takes, task, classes, names)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What an answer holds, as the protocol describes it."""
        wide = {"probability": [-1, len(self.classes)]} if self.classes else {}
        return [
            {"name": name, "datatype": datatype, "shape": wide.get(name, [-1])}
            for name, datatype in OUTPUTS[self.task].items()
        ]

    def answer(self, raw: bytes) -> bytes:
        """The V2 answer to a V2 body; its rows are in the prediction log by then. Raises RequestError."""
        started = time.perf_counter()
        request = read_request(raw, self.spec.request, self.takes, self.task)
        answer = self._infer(request)
        records = self._records(request, answer, (time.perf_counter() - started) * 1000)
        self.log.append(records)
        return self._body(request.id, answer, records)

    def _infer(self, request: InferRequest) -> _Answer:
        columns, times = self._enriched(request)
        versions = self._versions(request)
        outputs: list[Output] = [0.0] * len(versions)
        features: list[Mapping[str, object]] = [{}] * len(versions)
        for version in set(versions):
            rows = [row for row, chosen in enumerate(versions) if chosen == version]
            seen = self._seen(version, columns, rows, request.at)
            for position, (row, output) in enumerate(zip(rows, self.scorers[version].predict(seen), strict=True)):
                said = output.tolist()
                outputs[row] = dict(zip(self.classes, said, strict=True)) if self.classes else said
                features[row] = {name: values[position] for name, values in seen.items()}
        return _Answer(versions, outputs, features, times)

    def _enriched(self, request: InferRequest) -> tuple[Columns, dict[str, list[datetime | None]]]:
        """The columns that the models see, and view → event time of each row's answer."""
        if self.store:
            return enrich(request.columns, request.at, self.spec.views, self.store.look_up)
        names = {row_time(view): view.name for view in self.spec.views}
        sent = {name: list(values) for name, values in request.looked_up.items()}
        times = {
            view: [None if text is None else moment(str(text), name, row) for row, text in enumerate(sent.pop(name))]
            for name, view in names.items()
        }
        return {**{name: list(values) for name, values in request.columns.items()}, **sent}, times

    def _seen(self, version: int, columns: Columns, rows: Sequence[int], at: Sequence[datetime]) -> Columns:
        """What a version sees: what was given, and what is computed of it by the functions that it learned from."""
        scorer = self.scorers[version]
        names = dict.fromkeys([*taken(scorer.request_time), *(feature.name for feature in scorer.features)])
        given = {name: [columns[name][row] for row in rows] for name in names if name in columns}
        try:
            given |= computed(scorer.request_time, given, [at[row] for row in rows])
        except ComputationError as error:
            raise RequestError(f"the request cannot be answered: {error}") from error
        return {feature.name: given[feature.name] for feature in scorer.features}

    def _versions(self, request: InferRequest) -> list[int]:
        split = self.spec.split
        if len(split.shares) == 1:
            return [*split.shares] * len(request.at)
        names = key_columns(self.spec.request, self.spec.views)
        columns = [request.columns[name] for name in names]
        return [version_for([column[row] for column in columns], split) for row in range(len(request.at))]

    def _records(self, request: InferRequest, answer: _Answer, latency_ms: float) -> list[ServedPrediction]:
        unique, now = uuid.uuid4().hex, datetime.now(UTC)
        return [
            ServedPrediction(
                request_id=f"{unique}-{row}",
                endpoint=self.spec.name,
                revision=self.number,
                model_version=answer.versions[row],
                served_at=now,
                event_time=moment,
                inputs={name: values[row] for name, values in request.columns.items()},
                features=answer.features[row],
                views={
                    **{name: _written(times[row]) for name, times in answer.views.items()},
                    **self.computes[answer.versions[row]],
                },
                output=answer.outputs[row],
                latency_ms=latency_ms,
            )
            for row, moment in enumerate(request.at)
        ]

    def _body(self, given_id: str | None, answer: _Answer, records: Sequence[ServedPrediction]) -> bytes:
        body: dict[str, Any] = {
            "model_name": self.spec.name,
            "model_version": ",".join(str(version) for version in sorted(set(answer.versions))),
            "id": records[0].request_id.partition("-")[0] if given_id is None else given_id,
            "outputs": _tensors(self.task, self.classes, answer.outputs),
            "parameters": {
                "revision": self.number,
                "request_ids": [record.request_id for record in records],
                "model_versions": answer.versions,
                **({"classes": list(self.classes)} if self.classes else {}),
            },
        }
        return orjson.dumps(body)


def _question(spec: EndpointSpec, scorers: Mapping[int, Scorer]) -> tuple[Task, tuple[str, ...]]:
    """Task and classes of all models. Raises DeclarationError where they answer different questions."""
    questions = {(scorer.card.task, scorer.card.classes) for scorer in scorers.values()}
    if len(questions) > 1:
        told = " and ".join(f"version {number} a {scorer.card.task} one" for number, scorer in scorers.items())
        raise DeclarationError(
            f"endpoint {spec.name} is split over models of different questions ({told}), but it has one answer",
            remedy="Serve them one after the other",
        )
    return questions.pop()


def _tensors(task: Task, classes: Sequence[str], outputs: Sequence[Any]) -> list[dict[str, Any]]:
    """The answer's tensors: one value a row, or the likeliest class and the probabilities of all, row by row."""
    rows = len(outputs)
    if not classes:
        (name,) = OUTPUTS[task]
        return [{"name": name, "shape": [rows], "datatype": "FP64", "data": outputs}]
    likeliest = [max(classes, key=output.__getitem__) for output in outputs]
    flat = [output[name] for output in outputs for name in classes]
    return [
        {"name": "class", "shape": [rows], "datatype": "BYTES", "data": likeliest},
        {"name": "probability", "shape": [rows, len(classes)], "datatype": "FP64", "data": flat},
    ]


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _online(spec: EndpointSpec) -> FeatureStore:
    """The store, which has every view of the spec. Raises NotFoundError for the first that it has not."""
    store: FeatureStore = built(spec.feature_store)
    for view in spec.views:
        if store.published(view) is None:
            raise NotFoundError(
                f"feature view {view.name} is not in the online store, but endpoint {spec.name} looks it up",
                remedy="Publish the view, then deploy again",
            )
    return store


def built(binding: ServiceBinding) -> Any:
    """The service that the binding names. Raises BindingError where there is none, without quoting a setting."""
    try:
        return getattr(importlib.import_module(binding.module), binding.name)(**binding.settings)
    except (ImportError, AttributeError, TypeError) as error:
        raise BindingError(
            f"{binding.module}.{binding.name} cannot be made ({type(error).__name__}), but the endpoint needs it",
            allowed=f"It is given {', '.join(sorted(binding.settings)) or 'no setting'}",
            remedy="Mend its profile; the server must be able to import it",
        ) from error
