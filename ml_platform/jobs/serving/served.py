"""What is served: one revision of an endpoint, loaded and ready to answer."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

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
from ml_platform.engine.redaction import RedactedLog, redaction
from ml_platform.engine.request_time import ComputationError, computed, version_of
from ml_platform.engine.request_time import taken as taken_by
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import BindingError, DeclarationError, NotFoundError, PlatformError, ServiceError
from ml_platform.jobs.serving.protocol import OUTPUTS, InferRequest, RequestError, moment, read_request
from ml_platform.jobs.serving.record import Answer, Output, Taken
from ml_platform.jobs.serving.response import written_response
from ml_platform.jobs.serving.shadow import Shadow
from ml_platform.jobs.serving.wire import fingerprint, program
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.records.metric import Task
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.prediction_log import PredictionLog

# Of the code as this process has it: a server that was started before an update goes on with the old.
PROGRAM = program()


@dataclass(frozen=True)
class Served:
    """A revision as it stands in memory; it never changes, so that any thread may answer from it.

    digests: model version number → digest of the package that was loaded. fingerprint: of spec and digests.
    store: None where the caller looks features up; takes: what such a caller sends → its type.
    task, classes: of all the models. shadow: does what the shadow version is to.
    computes: version → what its features are computed by, without a row's time.
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
    shadow: Shadow = field(default_factory=Shadow)
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
        hidden = redaction(spec.redact)
        log: PredictionLog = built(spec.prediction_log)
        log = RedactedLog(log, hidden) if hidden else log
        names = {number: dict.fromkeys(map(version_of, scorer.request_time)) for number, scorer in scorers.items()}
        made = fingerprint(spec, digests)
        return cls(spec, number, digests, made, scorers, store, log, takes, task, classes, computes=names)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What an answer holds, as the protocol describes it."""
        wide = {"probability": [-1, len(self.classes)]} if self.classes else {}
        return [
            {"name": name, "datatype": datatype, "shape": wide.get(name, [-1])}
            for name, datatype in OUTPUTS[self.task].items()
        ]

    @property
    def waits(self) -> bool:
        """Whether an answer may wait for something else than this process: a look-up, or a log that waits."""
        return bool(self.store and self.spec.views) or bool(getattr(self.log, "waits", True))

    @property
    def log_lag_seconds(self) -> float:
        """For how long the oldest record of the log has not been safe from a loss of power."""
        return float(getattr(self.log, "lag_seconds", lambda: 0.0)())

    def finish(self) -> None:
        """What the shadow was to do is done, and the log has nothing that the disk has not."""
        self.shadow.finish()
        getattr(self.log, "flush", lambda: None)()

    def answer(self, raw: bytes, version: int | None = None) -> bytes:
        """As `respond`, the answer alone."""
        return self.respond(raw, version)[0]

    def respond(self, raw: bytes, version: int | None = None) -> tuple[bytes, str]:
        """The V2 answer to a V2 body, and which versions gave it; its rows are in the prediction log by then.

        Raises RequestError.
        version: the one that answers; where it is None the request may name it, and the split chooses otherwise.
        What fails after the request was understood is logged as well, and raised.
        """
        started = time.perf_counter()
        request = read_request(raw, self.spec.request, self.takes, self.task)
        named = self._named(request.version if version is None else version)
        taken = Taken.now(self.spec.name, self.number, request, named is not None, started)
        versions = self._chosen(taken) if named is None else [named] * len(request.at)
        try:
            columns, views = self._enriched(request)
            answer = self._scored(columns, views, versions, request.at)
        except RequestError:
            raise
        except Exception as error:
            # Whoever asks is told of the first fault, not of a log that cannot be written because of the same.
            with suppress(PlatformError):
                self.log.append(taken.failed(versions, error))
            if not self.spec.redact:
                raise
            # Its words, which may quote a value, would stand in the server's own log.
            raise ServiceError(
                f"{type(error).__name__} in the server, but no more is told of an endpoint that redacts"
            ) from None
        self.log.append(taken.answered(answer))
        if self.spec.shadow is not None and named is None:
            self.shadow.take(partial(self._shadowed, taken, columns, views, self.spec.shadow))
        by = ",".join(str(version) for version in sorted(set(versions)))
        return written_response(taken, answer, self.task, self.classes), by

    def _scored(
        self,
        columns: Columns,
        views: Mapping[str, Sequence[datetime | None]],
        by: Sequence[int],
        at: Sequence[datetime],
    ) -> Answer:
        """What the version of each row says, which sees the rows of a request that are its own as one batch."""
        outputs: list[Output] = [0.0] * len(by)
        features: list[Mapping[str, object]] = [{}] * len(by)
        for version in set(by):
            rows = [row for row, chosen in enumerate(by) if chosen == version]
            seen = self._seen(version, columns, rows, at)
            for position, (row, output) in enumerate(zip(rows, self.scorers[version].predict(seen), strict=True)):
                said = output.tolist()
                outputs[row] = dict(zip(self.classes, said, strict=True)) if self.classes else said
                features[row] = {name: values[position] for name, values in seen.items()}
        return Answer(by, outputs, features, views, self.computes)

    def _shadowed(
        self, taken: Taken, columns: Columns, views: Mapping[str, Sequence[datetime | None]], version: int
    ) -> None:
        """What the shadow says of the request, or why it cannot, is in the log."""
        started, versions = time.perf_counter(), [version] * len(taken.ids)
        try:
            records = taken.shadowed(self._scored(columns, views, versions, taken.request.at), started)
        except Exception as error:
            records = taken.failed(versions, error, shadow=True, started=started)
        self.log.append(records)

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
        if not scorer.request_time and len(rows) == len(at):
            return {feature.name: columns[feature.name] for feature in scorer.features}
        names = dict.fromkeys([*taken_by(scorer.request_time), *(feature.name for feature in scorer.features)])
        given = {name: [columns[name][row] for row in rows] for name in names if name in columns}
        try:
            given |= computed(scorer.request_time, given, [at[row] for row in rows])
        except ComputationError as error:
            raise RequestError(f"the request cannot be answered: {error}") from error
        return {feature.name: given[feature.name] for feature in scorer.features}

    def _named(self, version: int | None) -> int | None:
        if version is None or version in self.scorers:
            return version
        raise RequestError(
            f"version {version} is asked for, but endpoint {self.spec.name} has not loaded it",
            allowed=f"It has {', '.join(map(str, sorted(self.scorers)))}",
        )

    def _chosen(self, taken: Taken) -> list[int]:
        """The version of each row by its request key: what names its entities, or its id where nothing does."""
        split, request = self.spec.split, taken.request
        if len(split.shares) == 1:
            return [*split.shares] * len(request.at)
        columns = [request.columns[name] for name in key_columns(self.spec.request, self.spec.views)]
        ids = taken.ids if request.id is None else [f"{request.id}-{row}" for row in range(len(request.at))]
        keys = [[column[row] for column in columns] or [ids[row]] for row in range(len(request.at))]
        return [version_for(key, split) for key in keys]


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
