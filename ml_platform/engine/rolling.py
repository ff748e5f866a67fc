"""Rolling out: the machine of `engine.rollout` driven over a host, each state written down before it is made so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml_platform.engine.package import read_card
from ml_platform.engine.parity import Rows, compare, logged_rows
from ml_platform.engine.rollout import Finding, Known, Next, Plan, State, Traffic, advance, confirmed
from ml_platform.engine.rollout_guards import answers, end_of, findings, pages
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.terms import Terms
from ml_platform.errors import GateRefusedError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision, ServiceBinding, TrafficSplit
from ml_platform.records.job import Needs
from ml_platform.records.model import ModelVersion
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.roles.prediction_log import PredictionLog

REHEARSAL = "__rehearsal"


@dataclass(frozen=True)
class Rolling:
    """What is rolled out, and how.

    key: asset key of the endpoint, name: as it is served. champion: the version that is to serve, on `terms`.
    feature_store, prediction_log: as the servers make them again.
    evaluated: rows of the evaluation snapshot to compare by, given the features and how many are wanted.
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


@dataclass(frozen=True)
class RolledOut:
    """Where a rollout stands after a run.

    state: as it was read back. revision: what serves, None where nothing does. before: what served when the run began.
    moved: whether the run changed anything. found: of the guards and of parity, in the order in which it was found.
    """

    state: State
    revision: Revision | None
    before: Revision | None
    moved: bool
    found: tuple[Finding, ...]

    def serving(self) -> Revision:
        """What serves. Raises GateRefusedError, with the reasons, where a first version went back and nothing does."""
        if self.revision is not None:
            return self.revision
        raise GateRefusedError(
            f"version {self.state.target.version} went back, but nothing else has served, so that nothing serves now: "
            f"{' '.join(self.state.reasons)}",
            remedy="Mend it, or materialize the endpoint with retry: true",
        )


class Roller:
    """Takes one endpoint as far as it may go now."""

    def __init__(
        self,
        rolling: Rolling,
        host: EndpointHost,
        registry: ModelRegistry,
        records: PredictionLog,
        log: RolloutLog,
        now: Callable[[], datetime],
        say: Callable[[str], None],
    ) -> None:
        self._rolling, self._host, self._registry, self._records = rolling, host, registry, records
        self._log, self._now, self._say = log, now, say
        self._found: list[Finding] = []

    def run(self, *, retry: bool = False) -> RolledOut:
        """As many steps as may be taken now; every one is read back before the next.

        retry: a version that went back is tried again. Raises ServiceError where the host does not serve what it was
        told to; what served before serves on, and the next run goes on from there.
        """
        began = revision = self._host.describe(self._rolling.name)
        entry = self._log.last() or self._adopted(revision)
        written = entry.sequence if entry else 0
        for _ in range(len(self._rolling.plan.steps) + 8):
            following = self._following(entry, revision, retry)
            entry, moved = self._entered(entry, following), following.act == "serve"
            if moved:
                entry, revision = self._made(entry)
            if entry.state.settled or not moved:
                return RolledOut(entry.state, revision, began, entry.sequence != written, tuple(self._found))
        raise ServiceError(
            f"the rollout of {self._rolling.key} does not settle, but was taken further many times",
            remedy="Somebody else is changing the endpoint: find out who, then materialize it again",
        )

    def _following(self, entry: Entry | None, revision: Revision | None, retry: bool) -> Next:
        """What comes next, once parity and the guards have been looked at where they count."""
        state = entry.state if entry else None
        standing = _standing(entry, revision)
        beside = standing is None or self._rolling.terms.beside(standing) is not None
        known = Known(self._rolling.terms.target, _traffic(revision), beside, retry=retry)
        following = advance(self._rolling.plan, state, known, self._now())
        if entry and following.act == "compare":
            known = replace(known, parity=self._noted([self._parity(entry)])[0])
        elif entry and following.act == "judge":
            known = replace(known, findings=self._noted(self._guarded(entry)))
        return advance(self._rolling.plan, state, known, self._now())

    def _adopted(self, revision: Revision | None) -> Entry | None:
        """What serves already where no rollout was ever written down: one version, on the terms that are declared."""
        if revision is None:
            return None
        version = max(revision.split.shares, key=lambda one: revision.split.shares[one])
        terms = replace(self._rolling.terms, version=version, digest=revision.digests[version])
        return Entry(State(terms.target, None, "served", since=self._now()), terms, None)

    def _entered(self, entry: Entry | None, following: Next) -> Entry:
        """The state, written down where it is another one; and that somebody looked, where it waits."""
        state = following.state
        if entry and entry.state == state and following.act != "wait":
            return entry
        mine = self._rolling.terms
        known = [mine, *([entry.terms] if entry else []), *([entry.before] if entry and entry.before else [])]
        terms = next(one for one in known if one.target == state.target)
        before = next((one for one in known if one.target == state.before), None)
        began = entry is None or entry.state.settled
        cursor = entry.cursor if entry else 0
        opened = cursor if began else entry.opened if entry else 0
        number = entry.sequence if entry else 0
        for reason in state.reasons:
            self._say(reason)
        return self._log.write(Entry(state, terms, before, opened, cursor, number), self._now())

    def _made(self, entry: Entry) -> tuple[Entry, Revision | None]:
        """What the state wants serves, as it was read back; written down where it was not before."""
        state, wanted = entry.state, entry.state.traffic
        name = self._rolling.name
        if wanted is None:
            self._host.retire(name)
            revision = self._host.describe(name)
        else:
            with self._packaged(wanted.shares) as packages:
                self._host.deploy(self._spec(entry, wanted, packages))
            revision = self._host.describe(name)
        self._require_serving(entry, revision)
        if not state.beside and state.stage != "loaded":
            self._host.retire(f"{name}{REHEARSAL}")
        if state.since is not None:
            return entry, revision
        self._say(_told(state))
        cursor = end_of(self._records, name, entry.cursor)
        since = replace(entry, state=confirmed(state, self._now()), cursor=cursor)
        return self._log.write(since, self._now()), revision

    def _spec(self, entry: Entry, traffic: Traffic, packages: Mapping[int, str]) -> EndpointSpec:
        terms = _terms(entry, traffic)
        return EndpointSpec(
            name=self._rolling.name,
            packages=dict(packages),
            split=TrafficSplit(dict(traffic.shares)),
            request=dict(terms.request),
            views=terms.views,
            feature_store=self._rolling.feature_store,
            prediction_log=self._rolling.prediction_log,
            needs=self._rolling.needs,
            shadow=traffic.shadow,
        )

    def _require_serving(self, entry: Entry, revision: Revision | None) -> None:
        """Returns where what was read back is what the state wants, by shares and by digests."""
        digests = {one.version: one.digest for one in (entry.terms, entry.before) if one}
        wanted = entry.state.traffic
        loaded = revision.digests if revision else {}
        right = wanted is None or all(loaded.get(version) == digests[version] for version in wanted.shares)
        if entry.state.traffic_is(_traffic(revision)) and right:
            return
        raise ServiceError(
            f"{self._rolling.key} was to serve {_shown(wanted)}, but what is read back is {_shown(_traffic(revision))}",
            remedy="Materialize it again: it goes on from what serves",
        )

    def _guarded(self, entry: Entry) -> tuple[Finding, ...]:
        state = entry.state
        versions = (state.target.version, state.before.version if state.before else -1)
        shadow = state.stage == "shadow"
        name = self._rolling.name
        target, before = answers(self._records, name, entry.opened, entry.cursor, versions, shadow=shadow)
        return findings(self._rolling.plan.guards, target, before)

    def _parity(self, entry: Entry) -> Finding:
        guards, name, version = self._rolling.plan.guards, self._rolling.name, entry.state.target.version
        if not guards.parity_rows:
            return Finding("parity", True, "Kept: parity is declared not to be looked at.")
        with self._packaged([version]) as packages, self._asked(entry, packages) as asked:
            package = Path(packages[version])
            features = {feature.name: feature.type for feature in read_card(package).features}
            rows = self._rows(entry, features, guards.parity_rows)
            ask = partial(self._host.invoke, asked)
            found = compare(package, version, rows, entry.terms.request, guards, ask)
        self._say(f"{name}: {found.said}")
        return found

    def _rows(self, entry: Entry, features: Mapping[str, Any], count: int) -> Rows:
        """Logged requests where there are enough of them with all that the model takes, else of the snapshot."""
        latest: deque[ServedPrediction] = deque(maxlen=count)
        for records, _ in pages(self._records, self._rolling.name, entry.opened):
            latest.extend(one for one in records if not (one.named or one.shadow or one.error))
        logged = logged_rows(tuple(latest), tuple(features), tuple(entry.terms.request))
        return logged if len(logged.asked) >= count else self._rolling.evaluated(features, count)

    @contextmanager
    def _asked(self, entry: Entry, packages: Mapping[int, str]) -> Iterator[str]:
        """The endpoint that is asked for parity: itself, or a rehearsal where it cannot have both at once."""
        if entry.state.beside or entry.state.before is None:
            yield self._rolling.name
            return
        alone = Traffic({entry.state.target.version: 1.0})
        spec = self._spec(replace(entry, state=replace(entry.state, before=None)), alone, packages)
        name = f"{self._rolling.name}{REHEARSAL}"
        try:
            self._host.deploy(replace(spec, name=name))
            yield name
        finally:
            self._host.retire(name)

    @contextmanager
    def _packaged(self, versions: Sequence[int] | Mapping[int, float]) -> Iterator[dict[int, str]]:
        """Version → folder of its package, for as long as it is needed."""
        model = self._rolling.champion.name
        with TemporaryDirectory() as folder:
            yield {one: str(self._registry.fetch(model, one, Path(folder) / str(one))) for one in versions}

    def _noted(self, found: Sequence[Finding]) -> tuple[Finding, ...]:
        self._found.extend(found)
        return tuple(found)


def _standing(entry: Entry | None, revision: Revision | None) -> Terms | None:
    """What one would go back to from here."""
    if entry is None or revision is None:
        return None
    return entry.terms if entry.state.stage == "served" else entry.before


def _terms(entry: Entry, traffic: Traffic) -> Terms:
    """The terms on which a state is served: of one of the two, or such as suit both."""
    state, before = entry.state, entry.before
    if before is None or state.before is None or state.stage == "served":
        return entry.terms
    if state.stage == "rolled back" or (not state.beside and state.stage == "loaded"):
        return before
    return (entry.terms.beside(before) or entry.terms) if len(traffic.shares) > 1 else entry.terms


def _traffic(revision: Revision | None) -> Traffic | None:
    return Traffic(revision.split.shares, revision.shadow) if revision else None


def _shown(traffic: Traffic | None) -> str:
    """
    >>> _shown(Traffic({1: 0.95, 2: 0.05}, shadow=3))
    'version 1 for 95 %, version 2 for 5 %, version 3 as a shadow'
    """
    if traffic is None:
        return "nothing"
    shares = [f"version {version} for {share * 100:.4g} %" for version, share in traffic.shares.items()]
    return ", ".join([*shares, *([f"version {traffic.shadow} as a shadow"] if traffic.shadow is not None else [])])


def _told(state: State) -> str:
    back = " It went back to it." if state.stage == "rolled back" else ""
    return f"serves {_shown(state.traffic)}, as read back.{back}"
