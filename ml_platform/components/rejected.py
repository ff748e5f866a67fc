"""The quarantine of a source as an asset: the rows of landed files that it does not take, always there, empty too."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from typing import Any

import dagster as dg

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of
from ml_platform.roles.lakehouse import Lakehouse


def rejected(context: dg.ComponentLoadContext) -> dg.AssetsDefinition:
    """The asset. It has no partitions: of a row that does not fit, its partition may not be known."""
    key = key_of(context)

    @asset(
        context,
        description=f"The rows of landed files that {key} does not take, each with the reason and its place.",
        deps=[key],
        code=digest("rejected"),
        kinds={"deltalake", "quarantine"},
        suffix="__quarantine",
    )
    def refused_rows(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.MaterializeResult[Any]:
        from ml_platform.engine import delta
        from ml_platform.engine.rejected import told

        found = told(key, lakehouse)
        version = delta.fingerprint(found.snapshot)
        same = _last(context) == version
        return dg.MaterializeResult(
            data_version=dg.DataVersion(version),
            metadata={
                metadata.OUTCOME: metadata.UNCHANGED if same else f"{found.rows:,} rows stand",
                **metadata.of_rejected(found),
            },
        )

    return refused_rows


def _last(context: dg.AssetExecutionContext) -> str | None:
    """The data version that the asset had before."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version") if made else None
