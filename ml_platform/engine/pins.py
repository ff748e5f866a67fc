"""Pins: the table versions that registered models learned from, which maintenance keeps and the audit reads.

A model version pins the version of its training set, for that holds every row that it learned from, and the versions
of what the training set was made from, for it can be made again from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ml_platform.engine.fitting import INPUTS
from ml_platform.records.upkeep import Pin
from ml_platform.roles.model_registry import ModelRegistry


def pins(models: Iterable[str], registry: ModelRegistry) -> tuple[Pin, ...]:
    """What every version of these models pins. models: names in the registry. Raises what the registry raises."""
    found = []
    for name in models:
        for version in registry.versions(name):
            if "training_set" in version.tags:
                pin = json.loads(version.tags["training_set"])
                pinned = {pin["key"]: pin["version"], **json.loads(version.tags.get(INPUTS, "{}"))}
                found += [Pin(name, version.number, version.digest, key, at) for key, at in pinned.items()]
    return tuple(found)
