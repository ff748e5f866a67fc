"""The version of a model that somebody means: the champion, or whatever an alias or a number names."""

from __future__ import annotations

from ml_platform.errors import NotFoundError, nearest
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

CHAMPION = "champion"


def champion_of(model: str, registry: ModelRegistry) -> ModelVersion:
    """The version that serves. model: asset key. Raises NotFoundError where none does."""
    version = registry.version(model.rpartition("/")[2], CHAMPION)
    if version is None:
        raise NotFoundError(
            f"{model} has no champion, but something serves or scores with it",
            remedy=f"Materialize {model} and {model}__champion",
        )
    return version


def version_named(reference: str, registry: ModelRegistry) -> ModelVersion:
    """The version that goes by a name and an alias or number, as `arrival_delay@3`; without any, the champion.

    reference: the name may be the asset key. Raises NotFoundError, naming what there is, where no version goes by it.
    """
    name, _, wanted = reference.removeprefix("models/").partition("@")
    found = registry.version(name, wanted or CHAMPION)
    if found is None:
        known = [alias for each in registry.versions(name) for alias in (str(each.number), *each.aliases)]
        # Of a name that nobody registered, it is the name that is at fault.
        allowed = nearest(wanted or CHAMPION, known) if known else nearest(name, registry.names())
        raise NotFoundError(f"{reference} is asked for, but no version goes by it", allowed=allowed)
    return found
