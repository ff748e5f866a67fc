"""Pins: the table versions that registered models learned from, which maintenance keeps and the audit reads.

A model version pins the version of its training set, for that holds every row that it learned from; what the training
set was made of is not pinned.
"""

from __future__ import annotations

import json

from ml_platform.records.upkeep import Pin
from ml_platform.roles.model_registry import ModelRegistry


def pins(registry: ModelRegistry) -> tuple[Pin, ...]:
    """What every version of every model in the registry pins, be it declared or not. Raises what the registry raises.

    A model whose declaration went may be declared again, and its versions still serve: only who removes them lets go.
    """
    found = []
    for name in registry.names():
        for version in registry.versions(name):
            if "training_set" in version.tags:
                pin = json.loads(version.tags["training_set"])
                found.append(Pin(name, version.number, version.digest, pin["key"], pin["version"]))
    return tuple(found)
