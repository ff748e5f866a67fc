from __future__ import annotations

import pytest

from ml_platform.engine.machines import chosen
from ml_platform.errors import ServiceError
from ml_platform.records.job import Needs

MACHINES = [
    {"type": "small", "cpu": 2, "memory_gib": 8},
    {"type": "large", "cpu": 8, "memory_gib": 32},
    {"type": "fast", "cpu": 8, "memory_gib": 30, "accelerator": "t4"},
]


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(), "small"),
        (Needs(cpu=2.5), "large"),
        (Needs(memory_gib=9), "large"),
        (Needs(cpu=8, memory_gib=30, accelerator="t4"), "fast"),
    ],
)
def test_the_smallest_that_fits_is_chosen(needs: Needs, expected: str) -> None:
    assert chosen(needs, MACHINES)["type"] == expected


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (Needs(cpu=9), "9 cores and 2 GiB, but .* The largest is large with 8 cores and 32 GiB"),
        (Needs(cpu=8, memory_gib=31, accelerator="t4"), "The largest is fast with 8 cores and 30 GiB"),
        (Needs(accelerator="h100"), "the accelerator is h100, but .* Listed are t4"),
    ],
)
def test_what_no_machine_has_is_refused_with_the_largest(needs: Needs, told: str) -> None:
    with pytest.raises(ServiceError, match=told):
        chosen(needs, MACHINES)


def test_an_accelerator_is_refused_where_none_is_listed() -> None:
    with pytest.raises(ServiceError, match="None is listed"):
        chosen(Needs(accelerator="t4"), MACHINES[:2])
