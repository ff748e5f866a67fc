"""Rolling out: the machine of `engine.rollout` driven over a host, each state written down before it is made so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml_platform.engine.hosting import IDLE, cannot
from ml_platform.engine.package import read_card
from ml_platform.engine.parity import OFFERED, Rows, compare, logged_rows
from ml_platform.engine.rollout import Finding, Known, Next, State, advance, confirmed
from ml_platform.engine.rollout_guards import answers, end_of, findings, pages, tail_of
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.rollout_serving import REHEARSAL, Rolling, RolloutServing, told, traffic_of
from ml_platform.engine.terms import Terms
from ml_platform.errors import GateRefusedError, ServiceError
from ml_platform.records.endpoint import Revision
from ml_platform.records.prediction import ServedPrediction
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.roles.prediction_log import PredictionLog

_MORE = 8  # states than there are steps, in one run


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

    def run(self, *, retry: bool = False) -> RolledOut:
        """As many steps as may be taken now; every one is read back before the next.

        retry: a version that went back is tried again. Raises ServiceError where the host does not serve what it was
        told to; what served before serves on, and the next run goes on from there.
        """
        found: list[Finding] = []
        with TemporaryDirectory() as folder:
            serving = RolloutServing(self._rolling, self._host, self._registry, Path(folder))
            began = revision = serving.read_back()
            entry = self._log.last() or self._adopted(revision)
            written = entry.sequence if entry else 0
            for _ in range(len(self._rolling.plan.steps) + _MORE):
                following = self._following(entry, serving, revision, found, retry)
                entry, moved = self._entered(entry, following), following.act == "serve"
                if moved:
                    revision = serving.serve(entry)
                    entry = self._confirmed(entry)
                if entry.state.settled or not moved:
                    return RolledOut(entry.state, revision, began, entry.sequence != written, tuple(found))
        raise ServiceError(
            f"the rollout of {self._rolling.key} does not settle, but was taken further many times",
            remedy="Somebody else is changing the endpoint: find out who, then materialize it again",
        )

    def _following(
        self, entry: Entry | None, serving: RolloutServing, revision: Revision | None, found: list[Finding], retry: bool
    ) -> Next:
        """What comes next, once parity or the guards were looked at where they count; found takes what they say."""
        plan, state = self._rolling.plan, entry.state if entry else None
        standing = _standing(entry)
        idle = IDLE not in cannot(self._host)
        beside = standing is None or (idle and self._rolling.terms.beside(standing) is not None)
        kept = standing is None or revision is not None or self._registry_has(standing)
        known = Known(self._rolling.terms.target, traffic_of(revision), beside, kept, retry=retry)
        following = advance(plan, state, known, self._now())
        if entry is None or following.act not in ("compare", "judge"):
            return following
        if following.act == "compare":
            looked: Sequence[Finding] = [self._parity(entry, serving)]
            known = replace(known, parity=looked[0])
        else:
            looked = self._guarded(entry)
            known = replace(known, findings=looked)
        found.extend(looked)
        return advance(plan, state, known, self._now())

    def _registry_has(self, standing: Terms) -> bool:
        return self._registry.version(self._rolling.champion.name, str(standing.version)) is not None

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
        for reason in state.reasons:
            self._say(reason)
        known = [self._rolling.terms, *(one for one in (entry.terms, entry.before) if one)] if entry else []
        terms = next(one for one in known or [self._rolling.terms] if one.target == state.target)
        before = next((one for one in known if one.target == state.before), None)
        if entry is None:
            return self._log.write(Entry(state, terms, before), self._now())
        # Evidence of the old version is what it answered last, however long it stood.
        settled = entry.state.settled
        opened = tail_of(self._records, self._rolling.name, entry.cursor) if settled else entry.opened
        return self._log.write(Entry(state, terms, before, opened, entry.cursor, entry.sequence), self._now())

    def _confirmed(self, entry: Entry) -> Entry:
        """The state, written down as read back where it was not before; its evidence begins here."""
        if entry.state.since is not None:
            return entry
        self._say(told(entry.state))
        cursor = end_of(self._records, self._rolling.name, entry.cursor)
        now = self._now()
        return self._log.write(replace(entry, state=confirmed(entry.state, now), cursor=cursor), now)

    def _guarded(self, entry: Entry) -> tuple[Finding, ...]:
        state = entry.state
        versions = (state.target.version, state.before.version if state.before else -1)
        shadow = state.stage == "shadow"
        name = self._rolling.name
        target, before = answers(self._records, name, entry.opened, entry.cursor, versions, shadow=shadow)
        return findings(self._rolling.plan.guards, target, before)

    def _parity(self, entry: Entry, serving: RolloutServing) -> Finding:
        guards, version = self._rolling.plan.guards, entry.state.target.version
        if not guards.parity_rows:
            return Finding("parity", True, "Kept: parity is declared not to be looked at.")
        package = serving.package(version)
        features = {feature.name: feature.type for feature in read_card(package).features}
        rows = self._rows(entry, features, guards.parity_rows)
        with serving.asked(entry) as ask:
            found = compare(package, version, rows, entry.terms.request, guards, ask)
        self._forget(f"{self._rolling.name}{REHEARSAL}")
        self._say(found.said)
        return found

    def _forget(self, rehearsal: str) -> None:
        """What a rehearsal has logged is nobody's traffic."""
        tomorrow = datetime.now(UTC) + timedelta(days=1)  # by the real clock, as servers write their moments
        self._records.expire(rehearsal, end_of(self._records, rehearsal, 0), tomorrow)

    def _rows(self, entry: Entry, features: Mapping[str, Any], count: int) -> Rows:
        """Logged requests where there are enough of them with all that the model takes, which the online store answers
        as it did then; else of the snapshot.

        What the log has as hashes cannot be asked again.
        """
        if self._rolling.redact:
            return self._rolling.evaluated(features, count)
        latest: deque[ServedPrediction] = deque(maxlen=OFFERED * count)
        for records, _ in pages(self._records, self._rolling.name, entry.opened):
            latest.extend(one for one in records if not (one.named or one.shadow or one.error))
        answered = self._rolling.answered(tuple(latest))
        logged = logged_rows(answered, tuple(features), tuple(entry.terms.request)).last(count)
        return logged if len(logged.asked) >= count else self._rolling.evaluated(features, count)


def _standing(entry: Entry | None) -> Terms | None:
    """What one would go back to from here, whether its server runs or not."""
    if entry is None:
        return None
    return entry.terms if entry.state.stage == "served" else entry.before
