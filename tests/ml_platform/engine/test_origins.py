from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.compaction import compact
from ml_platform.engine.declared import Declared, Query
from ml_platform.engine.origins import LandedRows, Origin, Origins, matching, written
from ml_platform.engine.staging import stage
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

JOINED = """
SELECT plans.id, plans.id * 2 AS twice, delays.delay
FROM silver.plans AS plans LEFT JOIN silver.delays AS delays ON delays.id = plans.id
"""
ONE, TWO = (
    {"id": number, "_source_file": "p.csv", "_source_digest": "d", "_source_offset": number} for number in (1, 2)
)


@pytest.fixture
def commit(lakehouse: EmbeddedLakehouse) -> Any:
    """Rows appended to a table, made of versions of others by a code."""

    def commit(key: str, rows: list[dict[str, Any]], read: Mapping[str, int], code: str = "code") -> int:
        table = pa.Table.from_pylist(rows)
        location = lakehouse.table(key)
        staged = stage(table.to_batches(), table.schema, location)
        evidence = {"read": dict(read), "code": code}
        return delta.commit(
            staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence=evidence
        ).version

    return commit


@pytest.fixture
def joined(commit: Any) -> dict[str, Any]:
    """The rows of a join of two tables, of which one is as landed."""
    rows = [{"id": 1, "twice": 2, "delay": 9}, {"id": 2, "twice": 4, "delay": None}]
    commit("silver/plans", [ONE, TWO], {})
    commit("silver/delays", [{"id": 1, "delay": 9}], {})
    commit("gold/joined", rows, {"silver/plans": 0, "silver/delays": 0})
    return {"rows": rows}


@pytest.fixture
def origins(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Any:
    def origins(query: str | None = JOINED, code: str = "code") -> Origins:
        declared = Declared(
            tables=("silver/plans", "silver/delays", "gold/joined"),
            reads={"gold/joined": ("silver/plans", "silver/delays")},
            sources={"silver/plans": None},  # type: ignore[dict-item] # that it is one is all that is asked
            query=lambda key: Query(query, code) if query and key == "gold/joined" else None,
        )
        return Origins(declared, lakehouse, compute)

    return origins


def test_a_row_of_a_join_is_one_row_of_each_table(joined: Any, origins: Any) -> None:
    first, second = (origins().of_rows("gold/joined", 0, [row]) for row in joined["rows"])
    plan = Origin("silver/plans", 0, 1, (), landed=(LandedRows("p.csv", "d", 1, (1,)),))
    assert first.of == (plan, Origin("silver/delays", 0, 1, ()))
    # what an outer join did not find is no row
    assert [(it.key, it.landed[0].offsets) for it in second.of] == [("silver/plans", (2,))]


@pytest.mark.parametrize(
    ("query", "code", "why"),
    [
        (None, "code", "gold/joined is not made row by row"),
        (JOINED, "another", "gold/joined is made by another query today"),
        (
            "SELECT DISTINCT id, id * 2 AS twice, NULL AS delay FROM silver.plans",
            "code",
            "gold/joined is not made row by row",
        ),
        (JOINED.replace("* 2", "* 3"), "code", "gold/joined gives no such row today"),
    ],
)
def test_what_cannot_be_told_by_row_is_told_by_partition(
    joined: Any, origins: Any, query: str | None, code: str, why: str
) -> None:
    found = origins(query, code).of_rows("gold/joined", 0, joined["rows"][:1])
    assert [(it.key, it.rows, it.because) for it in found.of] == [("silver/plans", 2, why), ("silver/delays", 1, why)]
    assert found.of[0].landed == (LandedRows("p.csv", "d", 2, None),)


def test_a_row_in_a_compacted_file_is_of_the_commit_that_made_it(
    joined: Any, commit: Any, origins: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    commit("gold/joined", [{"id": 3, "twice": 6, "delay": 1}], {"silver/plans": 0, "silver/delays": 0})
    compact(delta.existing(lakehouse.table("gold/joined")), (), compute)
    found = origins().of_rows("gold/joined", 2, joined["rows"][:1])
    assert [(it.key, it.because) for it in found.of] == [("silver/plans", ""), ("silver/delays", "")]


def test_a_version_that_is_gone_says_so(origins: Any, joined: Any) -> None:
    found = origins().of_rows("gold/joined", 7, joined["rows"])
    assert found == Origin("gold/joined", 7, 0, (), "version 7 of gold/joined is not there any more")


@pytest.mark.parametrize(
    "value",
    [
        "O'Hare",
        7,
        -1.5,
        float("nan"),
        True,
        Decimal("1.50"),
        date(2013, 1, 2),
        datetime(2013, 1, 2, 3, tzinfo=UTC),
        None,
    ],
)
def test_a_value_is_found_by_how_it_is_written(value: Any) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        rows = pa.table({"a": [value], "b": [b"left out"]})  # noqa: F841 - duckdb finds it by its name
        assert connection.sql(
            f"SELECT count(*) FROM rows WHERE {matching({'a': value, 'b': b''}, ['a', 'b'])}"
        ).fetchall() == [(1,)]


def test_text_cannot_leave_its_quotes() -> None:
    assert written("' OR ''='") == "''' OR ''''='''"
