"""What every component gives its assets alike: key, group, owners, partitions, policy and code version."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.automation import following
from ml_platform.components.domain import domain_of, partitions
from ml_platform.errors import DeclarationError
from ml_platform.upkeep import UPKEEP


def key_of(context: dg.ComponentLoadContext) -> str:
    """The asset key that a component's folder stands for, for instance `silver/flights`."""
    key = context.path.relative_to(context.defs_module_path).as_posix()
    if key.count("/") != 1:
        raise DeclarationError(
            f"{place(context)}: the folder {key} is not <layer>/<name>, but an asset's key is its folder",
            remedy="Move the folder, for instance to silver/flights",
        )
    return key


def place(context: dg.ComponentLoadContext) -> str:
    """The file that a component is declared in, for errors."""
    return str((context.path / "defs.yaml").relative_to(context.defs_module_path.parent))


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
    checks: Sequence[str] = (),
    retention_days: float | None = None,
    cluster_by: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """The decorator that makes a function the component's asset, or the one beside it that a suffix names.

    deps: asset keys, or dependencies with a partition mapping.
    code: digest of what makes it; a new one shows in the UI as a new code version.
    follows: whether it is made by itself when what it reads is updated.
    tags: of the asset, by which selections find it.
    checks: names of the checks whose results it returns.
    retention_days, cluster_by: how its table is kept in shape; the domain's retention where it does not say.
    """
    domain = domain_of(context.path)
    group, _, name = key_of(context).partition("/")
    key = [group, f"{name}{suffix}"]
    days = domain.retention_days if retention_days is None else retention_days
    kept = {UPKEEP: {"retention_days": days, "cluster_by": list(cluster_by)}} if "deltalake" in kinds else {}
    made = dg.asset(
        key=key,
        deps=[asset_key(dep) if isinstance(dep, str) else dep for dep in deps],
        group_name=group,
        description=description,
        owners=list(domain.owners),
        kinds=kinds,
        code_version=code,
        metadata={**(metadata or {}), **kept},
        tags=tags,
        partitions_def=partitions(context.path) if partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
        automation_condition=following() if follows else None,
        check_specs=[dg.AssetCheckSpec(check, asset=key) for check in checks],
    )

    def with_signature(function: Callable[..., Any]) -> dg.AssetsDefinition:
        # Dagster asks for it a dozen times; it is worked out once.
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return made(function)

    return with_signature


def selected(context: dg.AssetExecutionContext, *, partitioned: bool) -> list[str]:
    """The partitions that a run asks of an asset; one empty text for an unpartitioned one, whatever the run has."""
    return list(context.partition_keys) if partitioned else [""]
