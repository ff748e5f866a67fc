"""Costs as a person on a terminal sees them: a line an asset and environment, then what it comes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import click
import dagster as dg

from ml_platform.binding import prices as table
from ml_platform.binding import profile_name
from ml_platform.costs import Spent, totals
from ml_platform.engine.prices import Prices


def tell_costs(since: datetime, by: str) -> None:
    """What everything took since a moment, UTC, stands on the terminal, priced by the profile in force.

    by: `asset`, `model` or `environment`; a line for each, and but for the last for each environment that it is in.
    """
    with dg.DagsterInstance.get() as instance:
        found = totals(instance, since, table())
    within = "" if by == "environment" else "environment"
    click.echo(f"{by:<40}{within:<14}{'seconds':>9}{'MiB':>10}{'billed s':>10}{'cost':>12}")
    for (name, environment), one in sorted(_added(found, by).items()):
        click.echo(f"{name:<40}{environment:<14}{_columns(one)}")
    _summarise(found, table())


def _added(found: Mapping[tuple[str, str], Spent], by: str) -> Mapping[tuple[str, str], Spent]:
    added: dict[tuple[str, str], Spent] = defaultdict(Spent)
    for (asset, environment), one in found.items():
        names = {"asset": (asset, environment), "model": (one.model, environment), "environment": (environment, "")}
        added[names[by]].add(one)
    return added


def _columns(one: Spent) -> str:
    cost = "not known" if one.unknown else "not priced" if one.unpriced else f"{one.cost:.4f}" if one.jobs else ""
    billed = f"{one.billable_seconds:.0f}" if one.jobs else ""
    size = f"{one.size_bytes / 2**20:.2f}" if one.size_bytes else ""
    return f"{one.seconds:>9.1f}{size:>10}{billed:>10}{cost:>12}"


def _summarise(found: Mapping[tuple[str, str], Spent], prices: Prices) -> None:
    every = found.values()
    size_bytes, jobs, unpriced = (sum(getattr(one, it) for one in every) for it in ("size_bytes", "jobs", "unpriced"))
    unknown = sum(len(one.unknown) for one in every)
    month = prices.of_bytes(size_bytes)
    stored = "not priced" if month is None else f"{month:.4f} {prices.currency} a month"
    click.echo(f"\nstored: {size_bytes / 2**20:.2f} MiB, {stored}")
    spent = f"{sum(one.cost for one in every):.4f} {prices.currency}".strip()
    besides = [(unpriced, "not priced"), (unknown, "of which their service did not say what they took")]
    told = [f"managed jobs: {jobs}", *([spent] if jobs else []), *(f"{many} {what}" for many, what in besides if many)]
    click.echo(", ".join(told))
    if prices.as_of:
        click.echo(f"by prices of {prices.as_of} in the profile {profile_name()}: check yours")
