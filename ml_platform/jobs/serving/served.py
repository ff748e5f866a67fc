"""What is served: one revision of an endpoint, loaded and ready to answer."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from ml_platform.engine.online import check_features, check_spec, key_columns, looked_up, version_for
from ml_platform.engine.package import digest
from ml_platform.engine.redaction import RedactedLog, redaction, with_computed
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import BindingError, DeclarationError, NotFoundError, PlatformError, ServiceError
from ml_platform.jobs.serving.protocol import OUTPUTS, read_request
from ml_platform.jobs.serving.record import Taken
from ml_platform.jobs.serving.response import written_response
from ml_platform.jobs.serving.scoring import Begun, Said, Scoring, UncomputedError
from ml_platform.jobs.serving.shadow import Shadow
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.jobs.serving.wire import fingerprint, program
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.records.metric import Task
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.prediction_log import PredictionLog

# Of the code as this process has it: a server that was started before an update goes on with the old.
PROGRAM = program()


Response = tuple[bytes, str]


@dataclass(frozen=True)
class Served:
    """A revision as it stands in memory; it never changes, so that any thread may answer from it.

    digests: model version number → digest of the package that was loaded. fingerprint: of spec and digests.
    scoring: what the loaded versions say. takes: what a caller who looks features up sends → its type.
    task, classes: of all the models. most_rows: of a request, where there is a limit. shadow: does what the shadow
    version is to.
    """

    spec: EndpointSpec
    number: int
    digests: Mapping[int, str]
    fingerprint: str
    scoring: Scoring
    log: PredictionLog
    takes: Mapping[str, str]
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    most_rows: int | None = None
    shadow: Shadow = field(default_factory=Shadow)

    @classmethod
    def load(cls, spec: EndpointSpec, number: int, most_rows: int | None = None) -> Self:
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
        hidden = redaction(with_computed(spec.redact, functions))
        log: PredictionLog = built(spec.prediction_log)
        log = RedactedLog(log, hidden) if hidden else log
        scoring = Scoring(spec.views, scorers, store, classes)
        return cls(spec, number, digests, fingerprint(spec, digests), scoring, log, takes, task, classes, most_rows)

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
        return bool(self.scoring.store and self.spec.views) or bool(getattr(self.log, "waits", True))

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

    def respond(self, raw: bytes, version: int | None = None) -> Response:
        """The V2 answer to a V2 body, and which versions gave it; its rows are in the prediction log by then.

        Raises RequestError.
        version: the one that answers; where it is None the request may name it, and the split chooses otherwise.
        What fails after the request was understood is logged as well, and raised.
        """
        [found] = self.respond_all([(raw, version)])
        if isinstance(found, Exception):
            raise found
        return found

    def respond_all(self, asked: Sequence[tuple[bytes, int | None]]) -> list[Response | Exception]:
        """As `respond`, of requests that came together; what it would raise stands in the place of an answer.

        Look-ups, models and the log see the rows of all of them as one batch. One that fails touches no other.
        """
        begun = [self._begun(*each) for each in asked]
        takes = [each for each in begun if isinstance(each, Begun)]
        found = dict(zip(map(id, takes), self._logged(takes, self._said(takes)), strict=True))
        return [found[id(each)] if isinstance(each, Begun) else each for each in begun]

    def _begun(self, raw: bytes, version: int | None) -> Begun | Exception:
        started = time.perf_counter()
        try:
            request = read_request(raw, self.spec.request, self.takes, self.task, self.most_rows)
            named = self._named(request.version if version is None else version)
            taken = Taken.now(self.spec.name, self.number, request, named is not None, started)
            return Begun(taken, self._chosen(taken) if named is None else [named] * len(request.at))
        except Exception as error:
            return error

    def _said(self, takes: Sequence[Begun]) -> Sequence[Said | Exception]:
        """What the models say of each, of all at once where nothing fails."""
        try:
            return self.scoring.said(takes) if takes else []
        except Exception as error:
            return [error] if len(takes) == 1 else [self._said([each])[0] for each in takes]

    def _logged(self, takes: Sequence[Begun], every: Sequence[Said | Exception]) -> list[Response | Exception]:
        """The answers, once all that is told of them is in the log."""
        records: list[ServedPrediction] = []
        for begun, said in zip(takes, every, strict=True):
            if isinstance(said, Said):
                records += begun.taken.answered(said.answer)
        failure = self._appended(records) if records else None
        return [
            self._failed(begun, said) if isinstance(said, Exception) else failure or self._answered(begun, said)
            for begun, said in zip(takes, every, strict=True)
        ]

    def _appended(self, records: Sequence[ServedPrediction]) -> Exception | None:
        try:
            self.log.append(records)
        except Exception as error:
            return error
        return None

    def _failed(self, begun: Begun, error: Exception) -> Exception:
        """What the caller is told of a request that failed, which is in the log if it was not the request's fault."""
        # Of a request that one version cannot compute with, the log says so, for another might have answered it.
        if isinstance(error, RequestError) and not isinstance(error, UncomputedError):
            return error
        # Whoever asks is told of the first fault, not of a log that cannot be written because of the same.
        with suppress(PlatformError):
            self.log.append(begun.taken.failed(begun.versions, error))
        if not self.spec.redact or isinstance(error, RequestError):
            return error
        # Its words, which may quote a value, would stand in the server's own log.
        return ServiceError(f"{type(error).__name__} in the server, but no more is told of an endpoint that redacts")

    def _answered(self, begun: Begun, said: Said) -> Response:
        if self.spec.shadow is not None and not begun.taken.named:
            self.shadow.take(partial(self._shadowed, begun.taken, said, self.spec.shadow))
        by = ",".join(str(version) for version in sorted(set(begun.versions)))
        return written_response(begun.taken, said.answer, self.task, self.classes), by

    def _shadowed(self, taken: Taken, said: Said, version: int) -> None:
        """What the shadow says of the request, or why it cannot, is in the log."""
        started, versions = time.perf_counter(), [version] * len(taken.ids)
        try:
            again = self.scoring.scored(said.columns, said.answer.views, versions, taken.request.at)
            records = taken.shadowed(again, started)
        except Exception as error:
            records = taken.failed(versions, error, shadow=True, started=started)
        self.log.append(records)

    def _named(self, version: int | None) -> int | None:
        if version is None or version in self.scoring.scorers:
            return version
        raise RequestError(
            f"version {version} is asked for, but endpoint {self.spec.name} has not loaded it",
            allowed=f"It has {', '.join(map(str, sorted(self.scoring.scorers)))}",
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
