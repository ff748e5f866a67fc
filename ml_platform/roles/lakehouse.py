"""The lakehouse: where Delta tables and landed files live, and with which credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ml_platform.records.table import Location

if TYPE_CHECKING:
    import pyarrow as pa


class Access(Protocol):
    """What a catalog lends for one location: credentials that end, and an entry for the table that stands there."""

    def credentials(self) -> Mapping[str, str]:
        """Credentials that last for some minutes at least, in deltalake's spelling. Raises ServiceError."""
        ...

    def committed(self, schema: pa.Schema) -> None:
        """The catalog has an entry for the table, which has these columns; idempotent, called after every commit."""
        ...


class Lakehouse(Protocol):
    """A home for tables and files; every location is inside the environment's own prefix."""

    def table(self, key: str) -> Location:
        """Where the table of an asset key lives, whether or not it exists yet. Idempotent, without I/O."""
        ...

    def files(self, key: str) -> Location:
        """Where the plain files of an asset key live, whether or not there are any. Idempotent, without I/O."""
        ...
