"""A plan: what a run would create, change and leave, found by the assets' own functions, stopped at the first write."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from types import SimpleNamespace
from typing import Any, Literal

import dagster as dg

from ml_platform.binding import environment, prices
from ml_platform.components.asset import MADE_BY
from ml_platform.costs import last_cost
from ml_platform.engine import intent
from ml_platform.engine.read_only import ReadOnly
from ml_platform.errors import NotFoundError, PlatformError
from ml_platform.metadata import OUTCOME, SECONDS, UNCHANGED

Effect = Literal["create", "change", "follow", "leave", "own", "lack", "fail"]
_CODE = "dagster/code_version"
_LOOKS_BACK = 20


@dataclass(frozen=True)
class Step:
    """What a run would do with one asset.

    effect: `create` and `change` write; `follow` has nothing to do now, but looks again after what it reads has
    changed; `leave` is unchanged; `own` runs a function of its own, which is not looked into; `lack` needs what is not
    there; `fail` cannot be made.
    seconds: what it took when it was made last; None where it never was. cost: what its managed jobs cost then, by the
    profile's prices.
    """

    key: str
    effect: Effect
    why: str
    seconds: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Asked:
    """What a run would be asked: the graph, the selected keys, the partitions, and the services, role → service.

    instance: what dagster remembers.
    """

    graph: Any
    keys: frozenset[dg.AssetKey]
    partitions: Sequence[str]
    services: Mapping[str, Any]
    instance: dg.DagsterInstance


def plan(asked: Asked) -> Iterator[Step]:
    """A step for each selected asset, in the order of a run. Nothing is written."""
    moving: dict[str, Effect] = {}
    services = {role: ReadOnly(role, service) for role, service in asked.services.items()}
    for key in _ordered(asked):
        node = asked.graph.get(key)
        above = sorted(parent.to_user_string() for parent in node.parent_keys if parent.to_user_string() in moving)
        with intent.planning():
            step = _after(_alone(asked, node, services), above)
        if step.effect != "leave":
            moving[step.key] = step.effect
            step = replace(step, seconds=last_seconds(asked.instance, key), cost=_cost(asked.instance, key))
        yield step


def _cost(instance: dg.DagsterInstance, key: dg.AssetKey) -> float | None:
    return last_cost(instance, key, environment(), prices())


def last_seconds(instance: dg.DagsterInstance, key: dg.AssetKey) -> float | None:
    """What an asset took when it was last made and not unchanged, of its latest twenty times; None without one."""
    for record in instance.fetch_materializations(key, limit=_LOOKS_BACK).records:
        made = record.asset_materialization
        said = {name: it.value for name, it in made.metadata.items()} if made else {}
        if SECONDS in said and said.get(OUTCOME) != UNCHANGED:
            return float(str(said[SECONDS]))
    return None


def _ordered(asked: Asked) -> Iterable[dg.AssetKey]:
    keys = sorted(key for key in asked.keys if asked.graph.get(key).is_materializable)
    return TopologicalSorter({key: sorted(asked.graph.get(key).parent_keys & {*keys}) for key in keys}).static_order()


def _alone(asked: Asked, node: Any, services: Mapping[str, Any]) -> Step:
    """What would be done with an asset, as everything else stands now."""
    key = node.key.to_user_string()
    function = getattr(node.assets_def.op.compute_fn, MADE_BY, None)
    if function is None:
        return Step(key, "own", "a function of its own makes it, which is run to know")
    try:
        _called(function, asked, node, services)
    except intent.Intended as found:
        return Step(key, found.effect, found.why)
    except NotFoundError as error:
        return Step(key, "lack", str(error))
    except Exception as error:  # a run would fail by it too
        return Step(key, "fail", str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}")
    last = asked.instance.get_latest_materialization_event(node.key)
    made = last.asset_materialization if last else None
    if "endpoint" in node.kinds and made and (made.tags or {}).get(_CODE) != node.code_version:
        return Step(key, "change", "its declaration has changed")
    return Step(key, "leave", "unchanged")


def _called(function: Any, asked: Asked, node: Any, services: Mapping[str, Any]) -> None:
    """The asset's function has run to its end, or to its first write."""
    silent = SimpleNamespace(info=lambda *_: None, warning=lambda *_: None)
    partitions = list(asked.partitions) if node.partitions_def else []
    context = SimpleNamespace(
        partition_keys=partitions,
        log=silent,
        add_asset_metadata=lambda *_, **__: None,
        asset_key=node.key,
        instance=ReadOnly("instance", asked.instance),
        run_id="plan",
        job_def=SimpleNamespace(asset_layer=SimpleNamespace(selected_asset_keys=asked.keys)),
    )
    names = inspect.signature(function).parameters
    own = {"context": context, **({"config": function.__annotations__["config"]()} if "config" in names else {})}
    given = {name: own[name] if name in own else services[name] for name in names}
    result = function(**given)
    if isinstance(result, Iterator):
        for _ in result:
            pass


def _after(step: Step, above: Sequence[str]) -> Step:
    """The same, where what it reads is made before it in the same run."""
    if not above:
        return step
    follows = f"after {', '.join(above)}"
    if step.effect == "leave":
        return replace(step, effect="follow", why=f"looked at again {follows}")
    if step.effect == "lack":
        return replace(step, effect="create", why=follows)
    if step.effect == "fail":  # by what is about to be another
        return replace(step, effect="follow", why=f"looked at again {follows}; as it stands, {step.why}")
    return replace(step, why=f"{step.why}; {follows}")
