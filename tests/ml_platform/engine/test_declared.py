from __future__ import annotations

import pytest

from ml_platform.engine.declared import Declared

MONTHS = ("1", "2", "3", "4")
BOTH = Declared((), partitioned={"a", "b"}, partitions=MONTHS, windows={("b", "a"): (2, 1)})


@pytest.mark.parametrize(
    ("partitions", "read", "made"),
    [
        ({"1"}, ["1", "2"], ["1", "2", "3"]),
        ({"4"}, ["2", "3", "4"], ["3", "4"]),
        ({"1", "4"}, list(MONTHS), list(MONTHS)),
    ],
)
def test_windows_end_with_the_partitions(partitions: set[str], read: list[str], made: list[str]) -> None:
    assert sorted(BOTH.made_from("b", "a", partitions) or ()) == read
    assert sorted(BOTH.makes("b", "a", partitions) or ()) == made


@pytest.mark.parametrize(("reader", "read", "partition"), [("b", "c", "1"), ("c", "a", "1"), ("b", "a", "5")])
def test_of_what_is_not_divided_alike_it_may_be_any_partition(reader: str, read: str, partition: str) -> None:
    assert BOTH.made_from(reader, read, {partition}) is None
    assert BOTH.makes(reader, read, {partition}) is None


def test_endpoints_are_told_from_batch_predictions() -> None:
    models = {"endpoints/late": "models/late", "predictions/late": "models/late"}
    assert Declared((), models=models).endpoints == {"late": "models/late"}
