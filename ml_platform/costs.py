"""Costs: what assets took, added up from what dagster remembers of their materializations and failed runs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import dagster as dg

from ml_platform.engine.prices import Prices
from ml_platform.errors import BindingError, nearest
from ml_platform.metadata import SECONDS
from ml_platform.records.usage import Usage

JOBS = "jobs"
ENVIRONMENT, MODEL = "environment", "model"
"""Metadata of a materialization: the environment that it was made in, and the name of the model that it belongs to."""
OF_MODEL = "ml_platform/model"
"""The tag of an asset that belongs to one model: its fits, gate, predictions, endpoints and monitors."""
NOBODY = "-"
_AT_A_TIME = 1000
_LOOKS_BACK = 200


@dataclass
class Spent:
    """What one asset took in one environment. seconds: of its runs here; size_bytes: of its table as it stands.

    billable_seconds, cost: of its managed jobs; unpriced: how many of them have no price, and on which machines.
    unknown: jobs of which their service did not say what they took.
    model: the name of the one that the asset belongs to; `-` where several may share it.
    """

    seconds: float = 0.0
    size_bytes: int = 0
    billable_seconds: float = 0.0
    cost: float = 0.0
    jobs: int = 0
    unpriced: int = 0
    machines: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    model: str = NOBODY

    def add(self, other: Spent) -> None:
        """What another took is part of this."""
        self.seconds += other.seconds
        self.size_bytes += other.size_bytes
        self.billable_seconds += other.billable_seconds
        self.cost += other.cost
        self.jobs += other.jobs
        self.unpriced += other.unpriced
        self.machines |= other.machines
        self.unknown |= other.unknown


def model_tag(model: str) -> dict[str, str]:
    """The tag of an asset that belongs to a model, by its asset key; none where it belongs to none."""
    return {OF_MODEL: model.rpartition("/")[2]} if model else {}


def require_declared(prices: Prices, specs: Iterable[dg.AssetSpec]) -> None:
    """Returns where every model that has a budget is declared; else raises BindingError, for it would limit nothing."""
    models = {spec.tags[OF_MODEL] for spec in specs if OF_MODEL in spec.tags}
    for name in prices.model_budgets:
        if name not in models:
            raise BindingError(
                f"prices.budget.models names {name!r}, but no such model is declared", allowed=nearest(name, models)
            )


def stamp(environment: str, model: str) -> dict[str, str]:
    """Metadata by which what something took is found again. model: its name, or empty."""
    return {ENVIRONMENT: environment, **({MODEL: model} if model else {})}


def totals(instance: dg.DagsterInstance, since: datetime, prices: Prices) -> dict[tuple[str, str], Spent]:
    """Asset key and environment → what it took since a moment, UTC. A job that several runs waited for counts once.

    prices: of jobs that had none when they ran.
    """
    found: dict[tuple[str, str], Spent] = defaultdict(Spent)
    counted: set[str] = set()
    for key in sorted(instance.all_asset_keys()):
        for said in _said(instance, key, since):
            jobs = said.get(JOBS) or []
            one = found[key.to_user_string(), jobs[0][ENVIRONMENT] if jobs else _environment(said)]
            one.model = str(said.get(MODEL, one.model)) if one.model == NOBODY else one.model
            one.seconds += float(said.get(SECONDS, 0.0))
            one.size_bytes = one.size_bytes or int(said.get("size_bytes", 0))  # the newest comes first
            for job in jobs:
                if job["job_id"] not in counted:
                    counted.add(job["job_id"])
                    _add(one, job, prices)
    return dict(found)


def spent_since(instance: dg.DagsterInstance, since: datetime, environment: str, prices: Prices) -> dict[str, Spent]:
    """Name of a model → what all that belongs to it took in an environment since a moment, UTC; `-`: the others."""
    found: dict[str, Spent] = defaultdict(Spent)
    for (_, here), one in totals(instance, since, prices).items():
        if here == environment:
            found[one.model].add(one)
    return dict(found)


def last_cost(instance: dg.DagsterInstance, key: dg.AssetKey, environment: str, prices: Prices) -> float | None:
    """What the jobs of an asset's last run that had any cost; None where there is none, or one's cost is not known."""
    for said in islice(_said(instance, key, None), _LOOKS_BACK):
        jobs = [job for job in said.get(JOBS) or [] if job[ENVIRONMENT] == environment]
        if jobs:
            whole = Spent()
            for job in jobs:
                _add(whole, job, prices)
            return None if whole.unpriced or whole.unknown else whole.cost
    return None


def _add(one: Spent, job: Mapping[str, Any], prices: Prices) -> None:
    one.jobs += 1
    if job["billable_seconds"] is None:
        one.unknown.add(job["job_id"])
        return
    one.billable_seconds += job["billable_seconds"]
    cost = job["cost"]
    if cost is None:
        cost = prices.of_usage(Usage(job["job_id"], job["instance"], job["billable_seconds"]))
    one.cost += cost or 0.0
    if cost is None:
        one.unpriced += 1
        one.machines.add(str(job["instance"]))


def _said(instance: dg.DagsterInstance, key: dg.AssetKey, since: datetime | None) -> Iterator[dict[str, Any]]:
    """What materializations of an asset say, each run's once, and what failed runs say of jobs; the newest first."""
    records = dg.AssetRecordsFilter(asset_key=key, after_timestamp=since.timestamp() if since else None)
    runs: set[str] = set()
    every = (_pages(instance.fetch_materializations, records), _pages(instance.fetch_observations, records))
    for record in heapq.merge(*every, key=lambda it: it.timestamp, reverse=True):
        made = record.asset_materialization
        event = record.event_log_entry.dagster_event
        if made is None:
            observed = event.asset_observation_data.asset_observation if event else None
            if observed and JOBS in observed.metadata:
                yield {name: value.value for name, value in observed.metadata.items()}
        elif record.run_id not in runs:  # a run of many partitions says it of each
            runs.add(record.run_id)
            yield {name: value.value for name, value in made.metadata.items()}


def _pages(fetch: Callable[..., Any], records: dg.AssetRecordsFilter) -> Iterator[Any]:
    """All events of a kind, the newest first, however many there are."""
    cursor = None
    while True:
        page = fetch(records, limit=_AT_A_TIME, cursor=cursor)
        yield from page.records
        if not page.has_more:
            return
        cursor = page.cursor


def _environment(said: Mapping[str, Any]) -> str:
    """As it says; else by where its table or its files are: below the environment's folder, here or in a bucket."""
    if ENVIRONMENT in said:
        return str(said[ENVIRONMENT])
    before, tables, _ = str(said.get("dagster/uri", "")).replace("/files/", "/tables/").rpartition("/tables/")
    folder = before.removesuffix("/lakehouse")
    return folder.rpartition("/")[2] if tables and folder else NOBODY
