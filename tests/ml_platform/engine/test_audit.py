from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine.audit import audit
from ml_platform.engine.plan import Shape
from ml_platform.engine.staging import stage
from ml_platform.errors import AuditError
from ml_platform.records.table import Location
from resources.embedded.compute import EmbeddedCompute

SHAPE = Shape(key=("carrier", "flight"), partition="month")


@pytest.fixture
def audited(tmp_path: Path, compute: EmbeddedCompute) -> Any:
    def audited(columns: Mapping[str, Any], shape: Shape = SHAPE) -> None:
        table = pa.table(dict(columns))
        partition = (shape.partition,) if shape.partition in table.column_names else ()
        audit(stage(table.to_batches(), table.schema, Location("silver/x", str(tmp_path)), partition), shape, compute)

    return audited


def test_rows_with_a_key_of_their_own_pass(audited: Any) -> None:
    audited({"carrier": ["AA", "AA", "UA"], "flight": [1, 2, 1], "month": ["1", "1", "2"]})


def test_no_rows_pass(audited: Any) -> None:
    audited({"carrier": pa.array([], "string"), "flight": pa.array([], "int64"), "month": pa.array([], "string")})


def test_rows_that_share_a_key_are_refused_by_name_and_number(audited: Any) -> None:
    with pytest.raises(AuditError, match=r"silver/x has 1 keys .*cannot share a key: carrier=AA, flight=1 \(3 rows\)"):
        audited({"carrier": ["AA", "AA", "AA", "UA"], "flight": [1, 1, 1, 1], "month": ["1", "1", "1", "2"]})


def test_a_key_is_one_of_its_partition_so_that_it_does_not_matter_which_are_made_together(audited: Any) -> None:
    audited({"carrier": ["AA", "AA"], "flight": [1, 1], "month": ["1", "2"]})


def test_all_broken_keys_are_counted_and_three_are_shown(audited: Any) -> None:
    with pytest.raises(AuditError, match="silver/x has 50 keys") as caught:
        audited({"carrier": ["AA"] * 100, "flight": [*range(50), *range(50)], "month": ["1"] * 100})
    assert str(caught.value).count("(2 rows)") == 3


@pytest.mark.parametrize("carriers", [["AA", None], [None, "AA"]])
def test_a_key_that_is_null_in_part_is_refused(audited: Any, carriers: list[str | None]) -> None:
    with pytest.raises(AuditError, match=r"a key is never NULL: carrier=NULL, flight=1 \(1 rows\)"):
        audited({"carrier": carriers, "flight": [1, 1], "month": ["1", "1"]})


@pytest.mark.parametrize("month", [None, ""])
def test_a_row_without_a_partition_is_refused(audited: Any, month: str | None) -> None:
    with pytest.raises(AuditError, match="has rows whose month is NULL or empty"):
        audited({"carrier": ["AA", "UA"], "flight": [1, 1], "month": ["1", month]})


@pytest.mark.parametrize("month", ["2023-12", "2024-1", "2024-01/x", "é", " "])
def test_a_row_of_a_partition_that_there_is_not_is_refused(
    tmp_path: Path, compute: EmbeddedCompute, month: str
) -> None:
    table = pa.table({"carrier": ["AA", "UA"], "flight": [1, 1], "month": ["2024-01", month]})
    staged = stage(table.to_batches(), table.schema, Location("silver/x", str(tmp_path)), ("month",))
    with pytest.raises(AuditError, match=rf"rows whose month is '{month}', but there is no such partition.*2024-02"):
        audit(staged, SHAPE, compute, ["2024-01", "2024-02"])


def test_a_partition_that_is_no_text_is_refused(audited: Any) -> None:
    with pytest.raises(AuditError, match="silver/x has partitions of type int64, but a partition is a text"):
        audited({"carrier": ["AA"], "flight": [1], "month": [1]})


@pytest.mark.parametrize("column", ["carrier", "flight", "month"])
def test_a_declared_column_that_is_not_there_is_named(audited: Any, column: str) -> None:
    columns = {"carrier": ["AA"], "flight": [1], "month": ["1"]}
    del columns[column]
    with pytest.raises(AuditError, match=f"silver/x has no column {column}, but its declaration builds on it"):
        audited(columns)


def test_a_key_with_odd_letters_is_a_key(audited: Any) -> None:
    audited({"o\"clock it's": ["a", "b"]}, Shape(key=("o\"clock it's",)))
