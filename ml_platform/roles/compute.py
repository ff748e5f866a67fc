"""Compute: the service that runs a declared query over pinned inputs and stages its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ml_platform.records.table import Location, StagedFiles, View

if TYPE_CHECKING:
    import pyarrow as pa


class Compute(Protocol):
    """Runs queries in DuckDB's dialect; an input is named as the query spells it, for instance `silver.flights`.

    What a view reads is named among the inputs of no other, nor is it an input itself.
    """

    def stage(
        self, query: str, inputs: Mapping[str, StagedFiles | View], target: Location, partition_by: tuple[str, ...]
    ) -> StagedFiles:
        """The query's rows as Parquet files in the target's folder, not yet committed to its table.

        Rows keep the query's order inside a partition. Staging the same rows twice gives the same files.
        Raises ServiceError where the query does not run; nothing that was committed is touched.
        """
        ...

    def fetch(self, query: str, inputs: Mapping[str, StagedFiles | View]) -> pa.Table:
        """The query's rows in memory; for audits, reports and Python functions. Raises ServiceError as `stage` does."""
        ...
