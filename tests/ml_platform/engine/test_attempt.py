"""What comes to a table by a Python function. Every way of writing is in `test_tables.py` and `test_incremental.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.tables import Made, make
from ml_platform.errors import AuditError, DeclarationError, ServiceError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

SHAPE = Shape(key=("id",), partition="month")

Making = Callable[..., Made]
Transform = Callable[[Mapping[str, pa.Table]], pa.Table]


def by(transform: Transform, shape: Shape = SHAPE, code: str = "1", **more: Any) -> Recipe:
    return Recipe("silver/events", ("bronze/events",), shape, code, transform=transform, **more)


def rows(*given: tuple[str, int, int]) -> pa.Table:
    """Rows of id, known and the number of the month."""
    ids, known, months = zip(*given, strict=True) if given else ((), (), ())
    named = [f"2013-{month:02}" for month in months]
    return pa.table(
        {"id": pa.array(ids, pa.string()), "known": pa.array(known, pa.int64()), "month": pa.array(named, pa.string())}
    )


@pytest.fixture
def ids(lakehouse: EmbeddedLakehouse) -> Callable[[], list[str]]:
    """The ids that the table has, sorted."""
    return lambda: sorted(delta.read_rows(delta.existing(lakehouse.table("silver/events")))["id"].to_pylist())


def aside(lakehouse: EmbeddedLakehouse) -> list[Path]:
    return [path for path in Path(lakehouse.files("platform").uri).rglob("*") if path.is_file()]


def test_a_function_is_given_its_window_of_its_inputs(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(*((f"{month}", month, month) for month in (1, 2, 3, 4))), "month")
    seen: list[Mapping[str, pa.Table]] = []

    def transform(frames: Mapping[str, pa.Table]) -> pa.Table:
        seen.append(frames)
        return frames["events"]

    making(by(transform, reads=(1, 0), where={"bronze/events": "known <> 1"}), 2, 3)
    assert sorted(seen[0]["events"]["known"].to_pylist()) == [2, 3]
    assert ids() == ["2", "3"]


def test_a_functions_rows_do_not_stay_aside(put: Any, making: Making, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", rows(("a", 1, 1)), "month")
    making(by(lambda frames: frames["events"]))
    assert aside(lakehouse) == []
    doubled = by(lambda frames: rows(("a", 1, 1), ("a", 2, 1)), code="2")
    with pytest.raises(AuditError):
        making(doubled)
    broken = by(lambda frames: frames["events"].drop_columns(["month"]), code="3")
    with pytest.raises(ServiceError):
        making(broken)
    assert aside(lakehouse) == []


def test_a_function_that_fails_leaves_the_table(put: Any, making: Making, ids: Any) -> None:
    put("bronze/events", rows(("a", 1, 1)), "month")
    making(by(lambda frames: frames["events"]))

    def transform(frames: Mapping[str, pa.Table]) -> pa.Table:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        making(by(transform, code="2"))
    assert ids() == ["a"]


def test_a_keyless_functions_rows_stand_in_its_order(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    put("bronze/events", rows(("a", 1, 1)))
    given = rows(("c", 1, 1), ("a", 1, 1), ("b", 1, 1), ("a", 1, 1))
    made = make(by(lambda frames: given, Shape()), [""], [""], lakehouse, compute)
    assert delta.read_rows(made.snapshot).equals(given)


def test_inputs_that_go_by_one_name_are_refused(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    for key in ("bronze/events", "gold/events"):
        put(key, rows(("a", 1, 1)))
    both = Recipe("silver/x", ("bronze/events", "gold/events"), Shape(), "1", transform=lambda frames: rows())
    with pytest.raises(DeclarationError, match="reads bronze/events, gold/events, but two of them go by the same"):
        make(both, [""], [""], lakehouse, compute)
