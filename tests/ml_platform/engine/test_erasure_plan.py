from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.declared import Declared, Query
from ml_platform.engine.erasure_plan import Plan, plan, read, written
from ml_platform.errors import DeclarationError
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

QUERIES = {"silver/trips": "SELECT concat_ws('.', day, seat) AS trip, delay FROM bronze.trips"}
READS = {
    "silver/trips": ("bronze/trips",),
    "features/trip_v1": ("silver/trips",),
    "gold/totals": ("silver/trips",),
    "models/late": (),
}
ORIGINS: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]] = {
    "silver/trips": {
        "trip": (("bronze/trips", "day"), ("bronze/trips", "seat")),
        "delay": (("bronze/trips", "delay"),),
    },
    "features/trip_v1": {"name": (("silver/trips", "trip"),)},
}


@pytest.fixture
def planned(put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Callable[..., Plan]:
    """The plan for a key of a table, over trips of two people, of whom one came twice."""
    days, seats = [date(2013, 1, 1), date(2013, 1, 1), date(2013, 1, 2)], ["7A", "7A", "8B"]
    put("bronze/trips", pa.table({"day": days, "seat": seats, "delay": [1, 2, 3], "_source_offset": [0, 1, 2]}))
    put("silver/trips", pa.table({"trip": ["2013-01-01.7A", "2013-01-02.8B"], "delay": [2, 3]}))
    put("features/trip_v1", pa.table({"name": ["2013-01-01.7A", "2013-01-02.8B"], "mean": [2.0, 3.0]}))
    put("gold/totals", pa.table({"trips": [2]}))

    def planned(table: str, *, queries: Mapping[str, str] = QUERIES, **key: str) -> Plan:
        declared = Declared(
            tables=("bronze/trips", *list(READS)[:3]),
            reads=READS,
            entities={"silver/trips": ("trip",), "features/trip_v1": ("name",)},
            sources={"bronze/trips": None},  # type: ignore[dict-item] # that it is one is all that is asked
            query=lambda name: Query(queries[name], "") if name in queries else None,
            origins=lambda name: ORIGINS.get(name, {}),
        )
        return plan(table, key, declared, lakehouse, compute)

    return planned


@pytest.mark.parametrize(
    ("table", "key"),
    [("silver/trips", {"trip": "2013-01-01.7A"}), ("bronze/trips", {"day": "2013-01-01", "seat": "7A"})],
)
def test_a_key_that_is_computed_is_followed_up_and_down_by_row(
    planned: Any, table: str, key: Mapping[str, str]
) -> None:
    found = planned(table, **key)
    assert found.rows == {
        "bronze/trips": [{"day": date(2013, 1, 1), "seat": "7A"}],
        "silver/trips": [{"trip": "2013-01-01.7A"}],
        "features/trip_v1": [{"name": "2013-01-01.7A"}],
    }
    assert found.again == ["gold/totals"]


def test_rows_that_would_come_back_are_not_erased(planned: Any) -> None:
    with pytest.raises(
        DeclarationError, match="trip of silver/trips cannot be followed back to bronze/trips, but rows"
    ):
        planned("silver/trips", queries={}, trip="2013-01-01.7A")


def test_a_plan_is_read_as_it_was_written() -> None:
    rows = {"a/b": [{"at": datetime(2013, 1, 2, tzinfo=UTC), "day": date(2013, 1, 2), "n": 7, "x": None, "ok": True}]}
    of = Plan("a/b", {"n": 7}, rows, ["c/d"])
    assert read(written(of)) == of


def test_what_was_not_done_is_done_with_what_is_planned_anew() -> None:
    before = Plan("a/b", {"n": 7}, {"a/b": [{"n": 7}], "c/d": [{"m": 1}]}, ["e/f"], "first")
    anew = Plan("a/b", {"n": 7}, {"a/b": [{"n": 7}], "e/f": [{"k": 2}]}, ["c/d"], "second")
    found = anew.merged(before)
    assert found == Plan("a/b", {"n": 7}, {"a/b": [{"n": 7}], "e/f": [{"k": 2}], "c/d": [{"m": 1}]}, [], "first")
