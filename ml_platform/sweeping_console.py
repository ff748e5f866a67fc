"""A sweep as a person on a terminal sees it: what would not be missed, and what was removed of it by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click
import dagster as dg

from ml_platform.binding import service
from ml_platform.engine.intent import planning
from ml_platform.engine.sweeping import House, remove, sweep

# One that is queued may take up what an earlier attempt of it has submitted.
_GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def tell_sweep(definitions: dg.Definitions, idle_hours: float, names: Sequence[str]) -> None:
    """What is idle, orphaned or undeclared stands on the terminal; the named of it are gone.

    Raises BindingError where the profile binds nobody to the role inventory, DeclarationError for a name that was not
    found; nothing is removed then.
    """
    inventory = service("inventory")
    graph = definitions.resolve_asset_graph()
    with dg.DagsterInstance.get() as instance:
        waited = bool(instance.get_runs(dg.RunsFilter(statuses=_GOING), limit=1))
    house = House(
        declared=frozenset(key.to_user_string() for key in graph.get_all_asset_keys()),
        inventory=inventory,
        log=service("prediction_log"),
        registry=service("model_registry"),
        lakehouse=service("lakehouse"),
        now=datetime.now(UTC),
        idle_hours=idle_hours,
        waited=waited,
    )
    with planning():  # looking makes nothing
        found = list(sweep(house))
    gone = {one.name for one in remove(names, found, inventory)}
    for one in found:
        click.echo(f"{'removed' if one.name in gone else 'found':<8}{one.name:<44}{one.why}")
    if not found:
        click.echo("nothing is idle, orphaned or undeclared")
    elif not names:
        click.echo("\nnothing was removed; --remove NAME removes one of these")
    if waited:
        click.echo("a run goes on, so that no job is taken for an orphan")
