from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.deleted import recorded
from ml_platform.engine.plan import Shape
from ml_platform.engine.staging import stage
from ml_platform.errors import AuditError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

SHAPE = Shape(key=("id",), write="merge", newest="moment", delete_when="gone")


def test_each_marker_is_recorded_once(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
    def offer(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
        ids, moments, gone = zip(*rows, strict=True)
        table = pa.table({"id": list(ids), "moment": list(moments), "gone": list(gone)})
        incoming = stage(table.to_batches(), table.schema, lakehouse.files("incoming"))
        known = recorded("silver/x", incoming, SHAPE, lakehouse, compute)
        return delta.read_rows(known).sort_by([("id", "ascending"), ("deleted_at", "ascending")]).to_pylist()

    assert offer(("a", 1, False)) == []
    assert delta.snapshot(lakehouse.table("silver/x__deleted")) is None
    assert offer(("a", 2, True), ("a", 2, True), ("b", 1, False)) == [{"id": "a", "deleted_at": 2}]
    assert offer(("a", 2, True), ("a", 1, True)) == [{"id": "a", "deleted_at": 1}, {"id": "a", "deleted_at": 2}]
    assert len(offer(("a", 2, True))) == 2
    assert delta.existing(lakehouse.table("silver/x__deleted")).version == 1


def test_a_marker_without_a_time_is_refused_and_nothing_of_its_batch_is_recorded(
    lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    table = pa.table({"id": ["a", "b"], "moment": pa.array([None, 2], pa.int64()), "gone": [True, True]})
    incoming = stage(table.to_batches(), table.schema, lakehouse.files("incoming"))
    with pytest.raises(
        AuditError, match="silver/x is offered 1 delete markers whose moment is NULL, but a marker says"
    ):
        recorded("silver/x", incoming, SHAPE, lakehouse, compute)
    assert delta.snapshot(lakehouse.table("silver/x__deleted")) is None
    assert not list(Path(lakehouse.table("silver/x__deleted").uri).rglob("*.parquet"))
