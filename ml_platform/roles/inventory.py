"""The inventory role: what is there and is ours, be it declared or not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ml_platform.records.inventory import Owned


class Inventory(Protocol):
    """Lists what services keep for one environment, by the tags that it made them with, and removes by name."""

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        """Everything that carries our environment's tags, sorted by kind and name; what lacks them is never listed.

        endpoints: names that are declared. Nothing is written.
        """
        ...

    def remove(self, owned: Owned) -> None:
        """It is gone, or has ended; idempotent. Raises NotFoundError or ServiceError for what lacks our tags."""
        ...
