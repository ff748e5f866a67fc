"""The lakehouse: where Delta tables and landed files live, and with which credentials."""

from __future__ import annotations

from typing import Protocol

from ml_platform.records.table import Location


class Lakehouse(Protocol):
    """A home for tables and files; every location is inside the environment's own prefix."""

    def table(self, key: str) -> Location:
        """Where the table of an asset key lives, whether or not it exists yet. Idempotent, without I/O."""
        ...

    def files(self, key: str) -> Location:
        """Where the plain files of an asset key live, whether or not there are any. Idempotent, without I/O."""
        ...
