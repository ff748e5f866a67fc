"""Pins: the table versions that registered models learned from, which maintenance keeps and the audit reads.

A model version pins the version of its training set, for that holds every row that it learned from, and the versions
of what the training set was made from, for it can be made again from them. One that was taken from another environment
pins the version that it is examined on.
"""

from __future__ import annotations

import json

from ml_platform.engine.examination import EXAMINED_ON
from ml_platform.engine.fitting import INPUTS
from ml_platform.records.upkeep import Pin
from ml_platform.roles.model_registry import ModelRegistry


def pins(registry: ModelRegistry) -> tuple[Pin, ...]:
    """What every version of every model in the registry pins, be it declared or not. Raises what the registry raises.

    A model whose declaration went may be declared again, and its versions still serve: only who removes them lets go.
    """
    found = []
    for name in registry.names():
        for version in registry.versions(name):
            told = version.tags.get(EXAMINED_ON) or version.tags.get("training_set")
            if told:
                pin = json.loads(told)
                pinned = {pin["key"]: pin["version"], **json.loads(version.tags.get(INPUTS, "{}"))}
                found += [Pin(name, version.number, version.digest, key, at) for key, at in pinned.items()]
    return tuple(found)
