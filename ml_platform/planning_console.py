"""A plan as a person on a terminal sees it: a line an asset, then what it comes to."""

from __future__ import annotations

from collections import Counter

import click
import dagster as dg

from ml_platform.binding import bindings, prices, service
from ml_platform.console import partitions_of, selected
from ml_platform.planning import Asked, plan


def tell_plan(definitions: dg.Definitions, select: str, partitions: str | None) -> bool:
    """Whether nothing that would be made lacks anything or would fail; what would be done stands on the terminal.

    select, partitions: as for a run, and refused as for one.
    """
    graph = definitions.resolve_asset_graph()
    keys = selected(select, graph)
    effects: Counter[str] = Counter()
    seconds = cost = 0.0
    known = prices()
    with dg.DagsterInstance.get() as instance:
        asked = Asked(graph, frozenset(keys), partitions_of(partitions, keys, graph), _services(), instance)
        for step in plan(asked):
            effects[step.effect] += 1
            seconds, cost = seconds + (step.seconds or 0.0), cost + (step.cost or 0.0)
            took = f"{step.seconds:.1f} s" if step.seconds is not None else ""
            costs = f"{step.cost:.4f}" if step.cost is not None else ""
            priced = f"{costs:>10}" if known.per_instance_hour else ""
            click.echo(f"{step.effect:<7} {step.key:<40}{took:>9}{priced}  {step.why}")
    counts = ", ".join(f"{count} {effect}" for effect, count in effects.items())
    priced = f" and {cost:.4f} {known.currency}" if cost else ""
    earlier = f"; about {seconds:.0f} s{priced}, by earlier runs" if seconds else ""
    click.echo(f"\n{counts}{earlier}; nothing was written")
    return not effects["lack"] and not effects["fail"]


def _services() -> dict[str, object]:
    return {role: service(role) for role in bindings()}
