"""The champion of a model, for whatever serves it or scores with it."""

from __future__ import annotations

from ml_platform.errors import NotFoundError
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry


def champion_of(model: str, registry: ModelRegistry) -> ModelVersion:
    """The version that serves. model: asset key. Raises NotFoundError where none does."""
    version = registry.version(model.rpartition("/")[2], "champion")
    if version is None:
        raise NotFoundError(
            f"{model} has no champion, but something serves or scores with it",
            remedy=f"Materialize {model} and {model}__champion",
        )
    return version
