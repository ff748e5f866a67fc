"""Machine types: what a job or an endpoint asks of its machine, as a type that Google rents out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_platform.engine.machines import chosen
from ml_platform.records.job import Needs

DEFAULT: Sequence[Mapping[str, Any]] = (
    {"type": "e2-standard-4", "cpu": 4, "memory_gib": 16},
    {"type": "e2-standard-8", "cpu": 8, "memory_gib": 32},
    {"type": "e2-standard-16", "cpu": 16, "memory_gib": 64},
    {"type": "n2-standard-32", "cpu": 32, "memory_gib": 128},
    {"type": "n2-standard-64", "cpu": 64, "memory_gib": 256},
    {"type": "n2-standard-96", "cpu": 96, "memory_gib": 384},
)


def machine(needs: Needs, instances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first type that fits the needs, as a machine spec of Vertex AI. Raises ServiceError where none does.

    instances: in ascending order, each a `type` with its `cpu`, `memory_gib` and, where it has one, `accelerator`, by
    our name, and `accelerator_type`, by Google's.
    """
    one = chosen(needs, instances)
    spec = {"machine_type": one["type"]}
    if needs.accelerator:
        spec |= {"accelerator_type": one["accelerator_type"], "accelerator_count": 1}
    return spec
