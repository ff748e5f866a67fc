from __future__ import annotations

import pytest

from ml_platform.records.job import Needs
from resources.gcp.instances import DEFAULT, machine

T4 = {"type": "n1-standard-8", "cpu": 8, "memory_gib": 30, "accelerator": "t4", "accelerator_type": "NVIDIA_TESLA_T4"}


@pytest.mark.parametrize(
    ("needs", "type_"),
    [(Needs(), "e2-standard-4"), (Needs(cpu=4, memory_gib=17), "e2-standard-8"), (Needs(cpu=96), "n2-standard-96")],
)
def test_the_smallest_that_fits_is_taken(needs: Needs, type_: str) -> None:
    assert machine(needs, DEFAULT) == {"machine_type": type_}


def test_an_accelerator_comes_with_its_machine() -> None:
    assert machine(Needs(accelerator="t4"), [*DEFAULT, T4]) == {
        "machine_type": "n1-standard-8",
        "accelerator_type": "NVIDIA_TESLA_T4",
        "accelerator_count": 1,
    }
