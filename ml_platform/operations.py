"""The commands of whoever operates the platform: `ml-platform plan`, `sweep` and `cost`."""

from __future__ import annotations

import importlib
import os
import sys

import click

_MODULE = click.option(
    "-m", "--module", default="ml_platform.definitions", show_default=True, help="Where `defs` are, as for dagster."
)


def require_dagster_home() -> None:
    """Returns where an instance of dagster is named, that of the runs."""
    if "DAGSTER_HOME" not in os.environ:
        raise click.UsageError("DAGSTER_HOME is not set; `make run` sets it to the folder that holds dagster.yaml")


@click.command()
@click.option("--select", default="*", show_default=True, help="Which assets, in Dagster's selection syntax.")
@click.option("--partitions", help="First and last partition, FIRST...LAST; all of them without it.")
@_MODULE
def plan(select: str, partitions: str | None, module: str) -> None:
    """Say what a run would create, change and leave, and why; nothing is written."""
    from ml_platform.planning_console import tell_plan

    require_dagster_home()
    sys.exit(0 if tell_plan(importlib.import_module(module).defs(), select, partitions) else 1)


@click.command()
@click.option("--idle-hours", default=24.0, show_default=True, help="From how long without a request one is idle.")
@click.option("--remove", "names", multiple=True, help="The name of something that was found; it is removed.")
@_MODULE
def sweep(idle_hours: float, names: tuple[str, ...], module: str) -> None:
    """List idle endpoints, jobs that nobody waits for, and what nothing declares; remove what is named."""
    from ml_platform.sweeping_console import tell_sweep

    require_dagster_home()
    tell_sweep(importlib.import_module(module).defs(), idle_hours, names)


@click.command()
@click.option("--days", default=30, show_default=True, help="How far back.")
@click.option("--by", type=click.Choice(["asset", "model", "environment"]), default="asset", show_default=True)
def cost(days: int, by: str) -> None:
    """Say what each took: seconds, bytes, and what managed jobs were billed, by the profile's prices."""
    from datetime import UTC, datetime, timedelta

    from ml_platform.costs_console import tell_costs

    require_dagster_home()
    tell_costs(datetime.now(UTC) - timedelta(days=days), by)


COMMANDS = (plan, sweep, cost)
