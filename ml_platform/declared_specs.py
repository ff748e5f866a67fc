"""What asset specs say of how the declared hangs together; cheap, for it is asked whenever definitions load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from ml_platform.engine.declared import Declared

UPKEEP = "upkeep"
"""The key of an asset's metadata that says how its table is kept in shape; an asset without it has no table."""
SOURCE = "source"
"""The key of a bronze asset's metadata that holds the arguments of `engine.ingest.Source`."""
CHAMPION = "__champion"


def hanging(specs: Sequence[dg.AssetSpec]) -> Declared:
    """Tables and what they read, partitions, and who answers by which model; no query, column or view."""
    by_key = {spec.key.to_user_string(): spec for spec in specs}
    partitions = [spec.partitions_def for spec in specs if spec.partitions_def is not None]
    return Declared(
        tables=sorted(key for key, spec in by_key.items() if UPKEEP in spec.metadata),
        reads={key: _reads(spec) for key, spec in by_key.items()},
        partitioned=frozenset(key for key, spec in by_key.items() if spec.partitions_def is not None),
        partitions=tuple(partitions[0].get_partition_keys()) if partitions else (),
        windows=_windows(by_key),
        models=_models(by_key),
    )


def models(specs: Sequence[dg.AssetSpec]) -> list[str]:
    """The asset keys of all models, without their champions'."""
    keys = (spec.key.to_user_string() for spec in specs if "model" in spec.kinds)
    return sorted(key for key in keys if not key.endswith(CHAMPION))


def _reads(spec: dg.AssetSpec) -> tuple[str, ...]:
    keys = (dep.asset_key.to_user_string() for dep in spec.deps)
    return tuple(key for key in keys if not key.endswith(CHAMPION))


def _windows(specs: Mapping[str, dg.AssetSpec]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (key, dep.asset_key.to_user_string()): (-mapping.start_offset, mapping.end_offset)
        for key, spec in specs.items()
        for dep in spec.deps
        if isinstance(mapping := dep.partition_mapping, dg.TimeWindowPartitionMapping)
    }


def _models(specs: Mapping[str, dg.AssetSpec]) -> dict[str, str]:
    """Endpoint or batch predictions → the model whose champion answers."""
    return {
        key: champion.removesuffix(CHAMPION)
        for key, spec in specs.items()
        if {"endpoint", "predictions"} & spec.kinds
        for dep in spec.deps
        if (champion := dep.asset_key.to_user_string()).endswith(CHAMPION)
    }
