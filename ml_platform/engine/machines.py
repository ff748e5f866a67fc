"""Machines: what a job or an endpoint needs, as one of the types that a cloud rents out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_platform.errors import ServiceError
from ml_platform.records.job import Needs


def chosen(needs: Needs, machines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first machine that fits the needs. Raises ServiceError where none does.

    machines: in ascending order, each a `type` with its `cpu`, `memory_gib` and, where it has one, `accelerator`.
    """
    able = [one for one in machines if one.get("accelerator") == needs.accelerator]
    if not able:
        listed = sorted({str(one["accelerator"]) for one in machines if one.get("accelerator")})
        raise ServiceError(
            f"the accelerator is {needs.accelerator}, but no machine type with one is listed",
            allowed=f"Listed are {', '.join(listed)}" if listed else "None is listed",
            remedy="Add the type to the profile's setting instances, with its accelerator",
        )
    for one in able:
        if one["cpu"] >= needs.cpu and one["memory_gib"] >= needs.memory_gib:
            return one
    largest = able[-1]
    raise ServiceError(
        f"the needs are {needs.cpu:g} cores and {needs.memory_gib:g} GiB, but no listed machine type has so much",
        allowed=f"The largest is {largest['type']} with {largest['cpu']} cores and {largest['memory_gib']} GiB",
        remedy="Ask for less, or add a larger type to the profile's setting instances",
    )
