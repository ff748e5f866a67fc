"""The quarantine of a table as an asset: the rows that its rules refused, always there, empty too."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from typing import Any

import dagster as dg

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, selected
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse


def quarantine(context: dg.ComponentLoadContext, column: str | None) -> dg.AssetsDefinition:
    """The asset. column: the partition column of the table, None where it has none."""
    key = key_of(context)

    @asset(
        context,
        description=f"The rows that {key} refused, each with the rule, the reason and where it came from.",
        deps=[key],
        code=digest("quarantine"),
        kinds={"deltalake", "quarantine"},
        partitioned=column is not None,
        suffix="__quarantine",
    )
    def refused_rows(
        context: dg.AssetExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        compute: dg.ResourceParam[Compute],
    ) -> dg.MaterializeResult[Any]:
        from ml_platform.engine import delta
        from ml_platform.engine.quarantine import Quarantine, told

        partitions = selected(context, partitioned=column is not None)
        found = Quarantine.of(key, column, lakehouse).rows(partitions)
        version = delta.fingerprint(found)
        same = _last(context) == version
        if column:
            metadata.record_partitions(context, found, column, () if same else partitions)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(version),
            metadata={
                metadata.OUTCOME: metadata.UNCHANGED if same else f"{found.rows:,} rows stand",
                **metadata.of_snapshot(found),
                **metadata.of_quarantine(told(found, compute)),
            },
        )

    return refused_rows


def _last(context: dg.AssetExecutionContext) -> str | None:
    """The data version that the asset had before."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version") if made else None
