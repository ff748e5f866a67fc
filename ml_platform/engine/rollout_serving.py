"""What a host serves for a state of a rollout: the spec that it is told, and whether that is what is read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_platform.engine.parity import Rows
from ml_platform.engine.rollout import Plan, State, Traffic
from ml_platform.engine.rollout_log import Entry
from ml_platform.engine.terms import Terms
from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision, ServiceBinding, TrafficSplit
from ml_platform.records.job import Needs
from ml_platform.records.model import ModelVersion
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.model_registry import ModelRegistry

REHEARSAL = "__rehearsal"


@dataclass(frozen=True)
class Rolling:
    """What is rolled out, and how.

    key: asset key of the endpoint, name: as it is served. champion: the version that is to serve, on `terms`.
    feature_store, prediction_log: as the servers make them again.
    evaluated: rows of the evaluation snapshot to compare by, given the features and how many are wanted.
    answered: of logged requests those that the online store still answers as it did.
    group, redact: as an EndpointSpec has them.
    """

    key: str
    name: str
    champion: ModelVersion
    terms: Terms
    plan: Plan
    needs: Needs
    feature_store: ServiceBinding
    prediction_log: ServiceBinding
    evaluated: Callable[[Mapping[str, Any], int], Rows]
    answered: Callable[[Sequence[ServedPrediction]], Sequence[ServedPrediction]]
    group: str = ""
    redact: tuple[str, ...] = ()


class RolloutServing:
    """One endpoint on its host. folder: empty, for packages, which are fetched once."""

    def __init__(self, rolling: Rolling, host: EndpointHost, registry: ModelRegistry, folder: Path) -> None:
        self._rolling, self._host, self._registry, self._folder = rolling, host, registry, folder
        self._fetched: dict[int, Path] = {}

    def read_back(self) -> Revision | None:
        """What serves."""
        return self._host.describe(self._rolling.name)

    def package(self, version: int) -> Path:
        """The folder of the version's package."""
        if version not in self._fetched:
            into = self._folder / str(version)
            self._fetched[version] = self._registry.fetch(self._rolling.champion.name, version, into)
        return self._fetched[version]

    def serve(self, entry: Entry) -> Revision | None:
        """What serves, which is what the state wants. Raises ServiceError where something else is read back."""
        wanted, name = entry.state.traffic, self._rolling.name
        if wanted is None:
            self._host.retire(name)
        else:
            self._host.deploy(self._spec(terms_of(entry), wanted))
        revision = self.read_back()
        self._require(entry, revision)
        state = entry.state
        rehearsed = not state.beside or state.before is None
        if rehearsed and state.stage != "loaded" and state.since is None:  # a run that was killed may have left it
            self._host.retire(f"{name}{REHEARSAL}")
        return revision

    @contextmanager
    def asked(self, entry: Entry) -> Iterator[Callable[[Mapping[str, Any]], Mapping[str, Any]]]:
        """Whoever answers for the target: the endpoint, or a rehearsal where it is the first or cannot have both."""
        name = self._rolling.name
        if entry.state.beside and entry.state.before is not None:
            yield lambda request: self._host.invoke(name, request)
            return
        rehearsal = f"{name}{REHEARSAL}"
        alone = self._spec(entry.terms, Traffic({entry.terms.version: 1.0}))
        try:
            self._host.deploy(replace(alone, name=rehearsal))
            yield lambda request: self._host.invoke(rehearsal, request)
        finally:
            self._host.retire(rehearsal)

    def _spec(self, terms: Terms, traffic: Traffic) -> EndpointSpec:
        return EndpointSpec(
            name=self._rolling.name,
            packages={version: str(self.package(version)) for version in traffic.shares},
            split=TrafficSplit(dict(traffic.shares)),
            request=dict(terms.request),
            views=terms.views,
            feature_store=self._rolling.feature_store,
            prediction_log=self._rolling.prediction_log,
            needs=self._rolling.needs,
            shadow=traffic.shadow,
            group=self._rolling.group,
            redact=self._rolling.redact,
        )

    def _require(self, entry: Entry, revision: Revision | None) -> None:
        """Returns where what was read back is what the state wants, by shares and by digests."""
        digests = {one.version: one.digest for one in (entry.terms, entry.before) if one}
        wanted, loaded = entry.state.traffic, revision.digests if revision else {}
        right = wanted is None or all(loaded.get(version) == digests[version] for version in wanted.shares)
        if entry.state.traffic_is(traffic_of(revision)) and right:
            return
        raise ServiceError(
            f"{self._rolling.key} was to serve {shown(wanted)}, but what is read back is {shown(traffic_of(revision))}",
            remedy="Materialize it again: it goes on from what serves",
        )


def terms_of(entry: Entry) -> Terms:
    """The terms on which a state is served: of one of the two, or such as suit both."""
    state, before = entry.state, entry.before
    if before is None or state.before is None or state.stage == "served":
        return entry.terms
    if state.stage == "rolled back" or (not state.beside and state.stage == "loaded"):
        return before
    return (entry.terms.beside(before) or entry.terms) if state.beside else entry.terms


def traffic_of(revision: Revision | None) -> Traffic | None:
    """What serves, as the machine compares it."""
    return Traffic(revision.split.shares, revision.shadow) if revision else None


def shown(traffic: Traffic | None) -> str:
    """For people.

    >>> shown(Traffic({1: 0.95, 2: 0.05}, shadow=3))
    'version 1 for 95 %, version 2 for 5 %, version 3 as a shadow'
    """
    if traffic is None:
        return "nothing"
    shares = [f"version {version} for {share * 100:.4g} %" for version, share in traffic.shares.items()]
    return ", ".join([*shares, *([f"version {traffic.shadow} as a shadow"] if traffic.shadow is not None else [])])


def told(state: State) -> str:
    """What a state serves, for people, once it was read back."""
    why = " again, for the other went back" if state.stage == "rolled back" else ""
    return f"serves {shown(state.traffic)}{why}, as read back"
