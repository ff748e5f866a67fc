from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta, touched
from ml_platform.engine.aside import set_aside
from ml_platform.engine.plan import Shape
from ml_platform.engine.staging import stage
from ml_platform.engine.touched import Merge, candidates, collisions, files_of, hit_clusters, holding, superseded
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

SHAPE = Shape(key=("id",), write="merge", newest="moment")


@pytest.fixture
def merge(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Iterator[Any]:
    with set_aside("silver/x", lakehouse, compute) as aside:

        def merge(*files: tuple[int, ...]) -> Merge:
            location = lakehouse.table("silver/x")
            for keys in files:
                rows = pa.table({"id": list(keys), "moment": [5] * len(keys)})
                staged = stage(rows.to_batches(), rows.schema, location)
                delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})
            return Merge(delta.existing(location), None, SHAPE, True, compute, aside)

        yield merge


def rows_touched(merge: Merge, *keys: int) -> list[int]:
    """How many rows the files have that hold one of the keys."""
    incoming = merge.aside.frame(pa.table({"id": list(keys), "moment": [5] * len(keys)}))
    near = candidates(merge, incoming)
    hit = hit_clusters(near, collisions(merge, incoming, near))
    return sorted(file.rows for file in files_of(holding(merge, incoming, hit)))


def test_files_are_found_by_range_and_then_by_key(merge: Any) -> None:
    table = merge((1, 9), (20, 25, 30), (21, 24, 26, 29))
    assert rows_touched(table, 9) == [2]
    assert rows_touched(table, 5, 22) == []
    assert rows_touched(table, 24) == [4]
    assert rows_touched(table, 1, 20, 21) == [2, 3, 4]


def test_many_overlapping_files_are_probed_in_groups(merge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touched, "_PROBES", 2)
    table = merge((1, 10), (2, 11, 12), (3, 13, 14, 15))
    assert rows_touched(table, 13) == [4]
    assert rows_touched(table, 1) == [2, 3]


def test_a_file_of_which_every_row_is_replaced_is_superseded(merge: Any) -> None:
    # given files of ranges of their own, the last two of one range
    table = merge((1, 2), (11, 12), (21, 23), (22, 24))

    def whole(*keys: int, moment: int = 5) -> list[int]:
        incoming = table.aside.frame(pa.table({"id": list(keys), "moment": [moment] * len(keys)}))
        near = candidates(table, incoming)
        gone = superseded(near, collisions(table, incoming, near))
        return [file.rows for file in table.standing.files if file.path in gone]

    # when all keys of one come, and of the next only some
    assert whole(1, 2, 11) == [2]
    # then neither is one with a newer row, nor one beside another that is not replaced
    assert whole(1, 2, moment=4) == []
    assert whole(21, 23) == []
    assert whole(21, 22, 23, 24) == [2, 2]
