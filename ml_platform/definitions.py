"""The definitions: the one file in which what is made meets what makes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import dagster as dg

# Range runs, partition windows and components are beta or preview, and used on purpose; each load would say so.
for _category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)

from ml_platform.uncollected import keep_modules, uncollected

with uncollected():
    import assets
    import resources
    from ml_platform.automation import automation
    from ml_platform.binding import Binding, bindings, prices
    from ml_platform.budgets import budget_checks
    from ml_platform.components.tree import tree_of
    from ml_platform.costs import require_declared
    from ml_platform.errors import DeclarationError, NotFoundError, nearest
    from ml_platform.faults import fault_in
    from ml_platform.reachability import require_reachable
    from ml_platform.rollouts import require_hosted, rollouts
    from ml_platform.service_resource import ServiceResource
    from ml_platform.taint_checks import taint_checks
    from ml_platform.watching import watching

Loaded = TypeVar("Loaded")


def declared(module: ModuleType = assets) -> dg.Definitions:
    """Everything that a folder declares, bound to nothing.

    Raises DeclarationError, by file and line, for the first declaration that cannot be.
    """

    def load(folder: Path, tree: dg.ComponentTree) -> dg.Definitions:
        # By its folder: the root would import whatever installed packages offer as components, and every SDK with it.
        return dg.Definitions.merge(tree.build_defs(folder), dg.Definitions(component_tree=tree))

    return _told_by_line(module, load)


def declaration(key: str, module: ModuleType = assets) -> dg.Component:
    """The component that declares an asset key, for instance `features/origin_weather_v1`.

    Raises NotFoundError, naming the nearest, where nothing does, and DeclarationError as `declared` does.
    """

    def load(folder: Path, tree: dg.ComponentTree) -> dg.Component:
        if (folder / key / "defs.yaml").is_file():
            return tree.load_component(folder / key)
        known = (path.parent.relative_to(folder).as_posix() for path in folder.glob("*/*/defs.yaml"))
        raise NotFoundError(f"{key} is asked for, but nothing of that name is declared", allowed=nearest(key, known))

    return _told_by_line(module, load)


def folder_of(key: str, module: ModuleType = assets) -> Path:
    """The folder in which an asset key is declared."""
    return Path(str(module.__file__)).parent / key


def _told_by_line(module: ModuleType, load: Callable[[Path, dg.ComponentTree], Loaded]) -> Loaded:
    """What is loaded from the folder's declarations; a fault of one is told by its file and line."""
    folder = Path(str(module.__file__)).parent
    try:
        return load(folder, tree_of(module))
    except Exception as error:
        fault = fault_in(error, folder)
        if fault is None:
            raise
    # Raised out here, it does not drag along the tree of all components, in which its one sentence would be lost.
    raise fault


def build_definitions(made: ModuleType, services: Mapping[str, Binding]) -> dg.Definitions:
    """What a folder declares, bound to the services that play each role, with the jobs and sensors that move it.

    made: a package like `assets`. services: role → binding, for instance `ml_platform.binding.bindings()`.
    Raises BindingError for services that cannot see the stores that they need.
    """
    with uncollected():
        return _bound(made, services)


def _bound(made: ModuleType, services: Mapping[str, Binding]) -> dg.Definitions:
    require_reachable(services)
    found = declared(made)
    specs = [spec for asset in found.assets or () if isinstance(asset, dg.AssetsDefinition) for spec in asset.specs]
    _require_no_cycle(specs)
    require_hosted(specs, services)
    require_declared(prices(), specs)
    bound: dict[str, Any] = {role: ServiceResource.of(binding) for role, binding in services.items()}
    # A process a step would import everything again for each; delta-rs does not survive a fork.
    own = dg.Definitions(resources=bound, executor=dg.in_process_executor)
    moved = (automation(specs, services), rollouts(specs, services), watching(specs, services), taint_checks(specs))
    limited = budget_checks(found.assets or (), prices())
    return dg.Definitions.merge(found, *moved, limited, own)


def _require_no_cycle(specs: Iterable[dg.AssetSpec]) -> None:
    try:
        TopologicalSorter({spec.key: [dep.asset_key for dep in spec.deps] for spec in specs}).prepare()
    except CycleError as error:
        around = " from ".join(key.to_user_string() for key in reversed(error.args[1]))
        raise DeclarationError(
            f"there is a circle, but nothing can be made from itself: {around}", remedy="Take one of these arrows out"
        ) from error


@dg.definitions
def defs() -> dg.Definitions:
    """The code location: `assets`, by the profile and environment in force."""
    keep_modules()
    return build_definitions(assets, bindings())


__all__ = ["build_definitions", "declared", "defs", "resources"]
