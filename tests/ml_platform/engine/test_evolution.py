from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.evolution import PROVENANCE, Evolution, evolved, standing
from ml_platform.engine.files import filesystem
from ml_platform.engine.ingest import Source
from ml_platform.engine.landed_file import identified
from ml_platform.errors import AuditError, SourceError
from ml_platform.records.table import Location, TableSnapshot
from resources.embedded.lakehouse import EmbeddedLakehouse

SOURCE = Source("bronze/events", "landing/events", "*", {"n": "int32"})
ADDING = replace(SOURCE, new_columns="add")


@pytest.fixture
def evolving(tmp_path: Path) -> Any:
    """The evolution of a source whose new files hold these texts, in order."""

    def evolving(source: Source, before: TableSnapshot | None, *texts: str) -> Evolution:
        files = filesystem(Location("landing/events", str(tmp_path)))
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.jsonl").write_text(text)
        coming = [identified(f"{number}.jsonl", files) for number in range(len(texts))]
        return evolved(source, before, coming, files)

    return evolving


def table(put: Any, **columns: Any) -> TableSnapshot:
    stands: TableSnapshot = put("bronze/events", pa.table({**columns, **{name: ["x"] for name in PROVENANCE.names}}))
    return stands


def test_a_table_has_the_declared_columns_and_where_rows_come_from(evolving: Any) -> None:
    found = evolving(SOURCE, None, '{"n":1}')
    assert found == Evolution(pa.schema([pa.field("n", pa.int32()), *PROVENANCE]), {}, (), rewrites=False)


def test_new_columns_are_added_in_the_order_of_the_files_and_said(evolving: Any, put: Any) -> None:
    stands = table(put, n=pa.array([1], pa.int32()), old=pa.array([True]))
    found = evolving(ADDING, stands, '{"n":1,"late":1.5}', '{"n":2,"more":"a","late":2}')
    assert found.added == {"old": "boolean", "late": "float64", "more": "string"}
    assert found.changes == ("late added as double", "more added as string")
    assert not found.rewrites


def test_a_column_of_a_reserved_name_is_refused(evolving: Any) -> None:
    with pytest.raises(SourceError, match=r"0\.jsonl has a column _sequence, but bronze/events has one of that name"):
        evolving(ADDING, None, '{"n":1,"_sequence":2}')


@pytest.mark.parametrize("name", ["", "  "])
def test_a_column_without_a_name_is_refused_before_its_values_could_be_lost(evolving: Any, name: str) -> None:
    with pytest.raises(SourceError, match=r"0\.jsonl has a column without a name, but bronze/events adds new columns"):
        evolving(ADDING, None, f'{{"n":1,"{name}":2}}')


def test_a_column_that_differs_in_case_only_is_refused_with_both_names(evolving: Any, put: Any) -> None:
    with pytest.raises(SourceError, match=r"0\.jsonl has a column N, but bronze/events has n, and no two columns"):
        evolving(ADDING, None, '{"n":1,"N":2}')
    with pytest.raises(SourceError, match=r"1\.jsonl has a column LATE, but bronze/events has late"):
        evolving(ADDING, None, '{"n":1,"late":2}', '{"n":1,"LATE":2}')
    with pytest.raises(SourceError, match=r"0\.jsonl has a column Old, but bronze/events has old"):
        evolving(ADDING, table(put, n=pa.array([1], pa.int32()), old=pa.array([True])), '{"n":1,"Old":true}')


def test_a_wider_type_is_refused_unless_the_source_says_that_it_may_widen(evolving: Any, put: Any) -> None:
    stands = table(put, n=pa.array([1], pa.int32()))
    wider = replace(SOURCE, columns={"n": "int64"})
    with pytest.raises(AuditError, match="bronze/events declares n as int64, but its table holds it as int32"):
        evolving(wider, stands)
    found = evolving(replace(wider, type_changes="widen"), stands)
    assert (found.changes, found.rewrites) == (("n widened from int32 to int64",), True)


def test_a_narrower_type_is_always_refused(evolving: Any, put: Any) -> None:
    stands = table(put, n=pa.array([1], pa.int64()))
    with pytest.raises(AuditError, match="declares n as int32, but its table holds it as int64"):
        evolving(replace(SOURCE, type_changes="widen"), stands)


def test_rows_stand_in_another_schema_with_their_partition(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("bronze/events", {"n": pa.array([1, 2], pa.int32()), "month": ["2013-01", "2013-02"]}, "month")
    schema = pa.schema([("n", pa.int64()), ("late", pa.bool_()), ("month", pa.string())])
    found = pa.Table.from_batches(standing(delta.existing(lakehouse.table("bronze/events")), schema), schema)
    assert sorted(found.to_pylist(), key=lambda row: row["n"]) == [
        {"n": 1, "late": None, "month": "2013-01"},
        {"n": 2, "late": None, "month": "2013-02"},
    ]
