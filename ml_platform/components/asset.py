"""What every component gives its assets alike: key, group, owners, partitions, policy and code version."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.automation import following
from ml_platform.components.accounted import accounted, stamped
from ml_platform.components.domain import domain_of, partitions
from ml_platform.components.guarded import guarded
from ml_platform.costs import OF_MODEL, model_tag
from ml_platform.errors import DeclarationError
from ml_platform.upkeep import UPKEEP

_CONTEXT, _CONFIG = "context", "config"
_RESULT = "result"
MADE_BY = "made_by"
"""The attribute of an asset's computation that is the component's own function, which a plan calls."""
_READ, _MADE, _CHECKED = dg.In(dg.Nothing), dg.Out(dg.Any), dg.Out(None)
_SINGLE_RUN = dg.BackfillPolicy.single_run()
_KEY = re.compile(r"[A-Za-z]\w*/[A-Za-z]\w*", re.ASCII)


def key_of(context: dg.ComponentLoadContext) -> str:
    """The asset key that a component's folder stands for, for instance `silver/flights`."""
    key = _folder(context)
    if key.count("/") != 1:
        raise DeclarationError(
            f"{place(context)}: the folder {key} is not <layer>/<name>, but an asset's key is its folder",
            remedy="Move the folder, for instance to silver/flights",
        )
    if not _KEY.fullmatch(key):
        raise DeclarationError(
            f"the folder {key!r} is no name for an asset, but it becomes part of paths and queries",
            allowed="Letters, digits and underscores are, and a letter in front",
            remedy="Rename the folder",
        )
    return key


def place(context: dg.ComponentLoadContext) -> str:
    """The file that a component is declared in, for errors."""
    return f"{context.defs_module_path.name}/{_folder(context)}/defs.yaml"


def _folder(context: dg.ComponentLoadContext) -> str:
    """Relative to the folder of all declarations."""
    return str(context.path).removeprefix(f"{context.defs_module_path}/")


def digest(*parts: object) -> str:
    """A short digest of what a declaration says; the same text gives the same digest everywhere."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def source_digest(*paths: Path) -> str:
    """A short digest of source files, by name and content."""
    return digest([(path.name, path.read_text()) for path in sorted(paths)])


def asset_key(key: str) -> dg.AssetKey:
    """The key as dagster has it."""
    return dg.AssetKey(key.split("/"))


def asset(
    context: dg.ComponentLoadContext,
    *,
    description: str,
    deps: Iterable[str | dg.AssetDep],
    code: str,
    kinds: set[str],
    partitioned: bool = False,
    suffix: str = "",
    follows: bool = True,
    metadata: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    of_model: str = "",
    checks: Mapping[str, str] | None = None,
    retention_days: float | None = None,
    cluster_by: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """The decorator that makes a function the component's asset, or the one beside it that a suffix names.

    deps: asset keys, or dependencies with a partition mapping.
    code: digest of what makes it; a new one shows in the UI as a new code version.
    follows: whether it is made by itself when what it reads is updated.
    tags: of the asset, by which selections find it.
    of_model: asset key of the model that it belongs to, for instance `models/arrival_delay`; the name becomes a tag.
    checks: of the checks whose results it returns, name → what holds where it passes, for people.
    retention_days, cluster_by: how its table is kept in shape; the domain's retention where it does not say.
    """
    domain = domain_of(context.path)
    group, _, name = key_of(context).partition("/")
    key = dg.AssetKey([group, f"{name}{suffix}"])
    days = domain.retention_days if retention_days is None else retention_days
    kept = {UPKEEP: {"retention_days": days, "cluster_by": list(cluster_by)}} if "deltalake" in kinds else {}
    spec = dg.AssetSpec(
        key,
        deps=[asset_key(dep) if isinstance(dep, str) else dep for dep in deps],
        group_name=group,
        description=description,
        owners=list(domain.owners),
        kinds=kinds,
        code_version=code,
        metadata={**(metadata or {}), **kept},
        tags={**(tags or {}), **model_tag(of_model)},
        partitions_def=partitions(context.path) if partitioned else None,
        automation_condition=following() if follows else None,
    )
    checked = [dg.AssetCheckSpec(name, asset=spec.key, description=said) for name, said in (checks or {}).items()]
    return lambda function: _made_by(function, spec, checked)


def _made_by(
    function: Callable[..., Any], spec: dg.AssetSpec, checks: Sequence[dg.AssetCheckSpec]
) -> dg.AssetsDefinition:
    """The asset that a function makes, which takes `context`, `config`, resources by their names, or none of these.

    `dg.asset` comes to the same, and inspects the function a dozen times on its way: for a thousand tables that takes
    as long as everything else about them. Of the context it is told by its name, of the config by its name and its
    class, of the rest that it is a resource.
    """
    takes = function.__code__.co_varnames[: function.__code__.co_argcount]
    resources = [name for name in takes if name not in (_CONTEXT, _CONFIG)]
    config: type[dg.Config] | None = function.__annotations__[_CONFIG] if _CONFIG in takes else None
    model = spec.tags.get(OF_MODEL, "")
    safe = guarded(accounted(function, model))

    def compute(context: dg.AssetExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        given = {name: getattr(context.resources, name) for name in resources}
        told = {_CONFIG: config(**context.op_execution_context.op_config)} if config else {}
        done = safe(**{**({_CONTEXT: context} if _CONTEXT in takes else {}), **told, **given})
        yield from (stamped(each, model) for each in (done if isinstance(done, Iterator) else [done]))

    setattr(compute, MADE_BY, function)
    inputs = {_identifier(dep.asset_key): dep.asset_key for dep in spec.deps}
    of_checks = {check.get_python_identifier(): check for check in checks}
    return dg.AssetsDefinition(
        keys_by_input_name=inputs,
        keys_by_output_name={_RESULT: spec.key},
        node_def=dg.OpDefinition(
            compute,
            _identifier(spec.key),
            ins=dict.fromkeys(inputs, _READ),
            outs={_RESULT: _MADE, **dict.fromkeys(of_checks, _CHECKED)},
            config_schema=config.to_config_schema() if config else None,
            required_resource_keys=set(resources),
            description=spec.description,
            code_version=spec.code_version,
        ),
        specs=[spec],
        check_specs_by_output_name=of_checks,
        backfill_policy=_SINGLE_RUN,
    )


@lru_cache(maxsize=4096)
def _identifier(key: dg.AssetKey) -> str:
    return key.to_python_identifier()


def selected(context: dg.AssetExecutionContext, *, partitioned: bool) -> list[str]:
    """The partitions that a run asks of an asset; one empty text for an unpartitioned one, whatever the run has."""
    return list(context.partition_keys) if partitioned else [""]
