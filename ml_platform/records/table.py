"""Tables as they travel: where one lives, what one version of it holds, what is staged for it, what was committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from ml_platform.roles.lakehouse import Access


@dataclass(frozen=True)
class Location:
    """A place that Delta tables or plain files live in.

    key: the asset key, `/`-separated, for instance `silver/flights`.
    uri: an absolute path or an object-store URI.
    storage_options: how to reach the store, in deltalake's spelling; nothing secret, for job specs carry it.
    access: who lends credentials for it; None where the process's environment has them.
    """

    key: str
    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    access: Access | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if ".." in self.key.split("/") or "\0" in self.key:
            raise ValueError(f"{self.key!r} is to be a key, but it leads out of where it is kept")

    @property
    def options(self) -> dict[str, str]:
        """Storage options and fresh credentials: for opening the store here, and for nothing that is kept or shown."""
        return {**self.storage_options, **(self.access.credentials() if self.access else {})}


@dataclass(frozen=True)
class DataFile:
    """One Parquet file, staged or live.

    path: relative to the table's root, `/`-separated; its name is the digest of its content.
    size_bytes, rows: as counted when it was written.
    partition: partition column → value; empty for an unpartitioned table.
    statistics: the statistics of the Delta protocol, as JSON.
    """

    path: str
    size_bytes: int
    rows: int
    partition: Mapping[str, str]
    statistics: str = field(default="{}", repr=False)


@dataclass(frozen=True)
class StagedFiles:
    """Files that stand in a table's folder and are not yet part of it.

    schema: Arrow schema of the rows, partition columns included.
    partition_by: partition columns, in order.
    """

    location: Location
    schema: pa.Schema
    partition_by: tuple[str, ...]
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class View:
    """Rows that a query makes each time that they are read: none of them is staged.

    location: whose rows they are, for errors. schema: Arrow schema of the rows.
    query: in DuckDB's dialect, over `inputs` by the names that it spells; gives the same rows each time.
    rows: how many it gives, at the most.
    """

    location: Location
    schema: pa.Schema
    query: str
    inputs: Mapping[str, StagedFiles]
    rows: int


@dataclass(frozen=True)
class TableSnapshot(StagedFiles):
    """The files that one version of a table consists of.

    version: the Delta commit number.
    """

    version: int


@dataclass(frozen=True)
class TableVersion:
    """One immutable version of a table, as lineage records it.

    fingerprint: digest of the content of what was read (all of it, or the partitions that were asked for).
    """

    key: str
    version: int
    fingerprint: str


@dataclass(frozen=True)
class Commit:
    """What became of a commit.

    version: the table's version afterwards.
    rows_added, rows_removed: in the files that came and went; both 0 when nothing changed.
    partitions: the values of the partition column whose files changed; empty for an unpartitioned table.
    """

    version: int
    rows_added: int
    rows_removed: int
    partitions: tuple[str, ...]
    unchanged: bool
