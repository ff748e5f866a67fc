"""Models as they travel: the features that one takes and one immutable version in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FeatureType = Literal["number", "category"]


@dataclass(frozen=True)
class ModelVersion:
    """One immutable numbered fit in a registry.

    name: without the environment's prefix.
    digest: SHA-256 over the files of the model package, hexadecimal.
    tags: evidence kept with the version: pins, fingerprints, metrics as text.
    aliases: `champion`, `challenger`, … as they stood when it was read.
    """

    name: str
    number: int
    digest: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
