"""Pins: the table versions that registered models learned from, which maintenance keeps and the audit reads.

A model version pins the version of its training set, for that holds every row that it learned from, and the versions
of what the training set was made from, for it can be made again from them. One that was taken from another environment
pins the version that it is examined on. Where rows of one were erased, there is nothing to keep any more: the pin is
broken, and the version says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ml_platform.engine.examination import EXAMINED_ON
from ml_platform.engine.fitting import INPUTS
from ml_platform.records.model import ModelVersion
from ml_platform.records.upkeep import Pin
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that names the tables of which rows were erased that it pins.
ERASED = "erased"


def pins(registry: ModelRegistry, *, broken: bool = False) -> tuple[Pin, ...]:
    """What every version of every model in the registry pins, be it declared or not. Raises what the registry raises.

    broken: whether pins are among them that an erasure broke: what a version learned from, though it is gone.
    A model whose declaration went may be declared again, and its versions still serve: only who removes them lets go.
    """
    return tuple(
        pin
        for name in registry.names()
        for version in registry.versions(name)
        for pin in _of(version)
        if broken or pin.key not in erased(version)
    )


def erased(version: ModelVersion) -> frozenset[str]:
    """The tables, of those that a version pins, of which rows were erased."""
    return frozenset(json.loads(version.tags.get(ERASED, "[]")))


def _of(version: ModelVersion) -> Iterator[Pin]:
    told = version.tags.get(EXAMINED_ON) or version.tags.get("training_set")
    if told:
        pin = json.loads(told)
        pinned = {pin["key"]: pin["version"], **json.loads(version.tags.get(INPUTS, "{}"))}
        for key, at in pinned.items():
            yield Pin(version.name, version.number, version.digest, key, at)
