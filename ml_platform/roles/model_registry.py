"""The model registry: immutable numbered versions, the aliases that move between them, and their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ml_platform.records.model import ModelVersion


class ModelRegistry(Protocol):
    """Versions never change once registered; aliases are the only thing that moves."""

    def register(self, name: str, package: Path, tags: Mapping[str, str]) -> ModelVersion:
        """A new version holding the package's files; a version with the same `fingerprint` tag is returned instead."""
        ...

    def names(self) -> Sequence[str]:
        """The names of all models that are registered in this environment, sorted, whether or not they are declared."""
        ...

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """All versions, oldest first; empty for a name that was never registered."""
        ...

    def version(self, name: str, reference: str) -> ModelVersion | None:
        """The version that an alias or a number names; None where there is none."""
        ...

    def move_alias(self, name: str, alias: str, number: int) -> None:
        """The alias names that version, and no other. Raises NotFoundError for a version that does not exist."""
        ...

    def record(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """The tags stand beside those that the version had; a tag of the same key is replaced."""
        ...

    def fetch(self, name: str, number: int, into: Path) -> Path:
        """The folder `into` holding the version's package, its digest verified. Raises NotFoundError, ServiceError."""
        ...
