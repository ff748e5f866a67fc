"""The rows of one table version, or of a query over pinned versions, as the library that one works with has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class Rows:
    """Read when they are first asked for, and always the same: what they are made from is pinned.

    versions: asset key → the version of each table that they come from.
    """

    def __init__(self, told: str, versions: Mapping[str, int], read: Callable[[], pa.Table]) -> None:
        self.versions = dict(versions)
        self._told = told
        self._read = read
        self._rows: pa.Table | None = None

    def to_arrow(self) -> pa.Table:
        """As an Arrow table."""
        if self._rows is None:
            self._rows = self._read()
        return self._rows

    def to_polars(self) -> pl.DataFrame:
        """As a Polars frame."""
        import polars as pl

        return pl.DataFrame(pl.from_arrow(self.to_arrow()))

    def to_pandas(self) -> Any:
        """As a pandas frame; moments are UTC."""
        return self.to_arrow().to_pandas()

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """As any library of dataframes takes it."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """What they are, without reading them."""
        pinned = ", ".join(f"{key} version {version}" for key, version in sorted(self.versions.items()))
        return f"{self._told} ({pinned})" if pinned else self._told
