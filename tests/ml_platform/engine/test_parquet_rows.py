from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine.files import filesystem
from ml_platform.engine.parquet_rows import opened, rows
from ml_platform.engine.source_files import parts
from ml_platform.engine.source_rows import Misfit
from ml_platform.errors import SourceError
from ml_platform.records.table import Location


def read(folder: Path, table: pa.Table, columns: dict[str, str], refused: Any = ()) -> tuple[list[Any], list[Misfit]]:
    pq.write_table(table, folder / "day.parquet")
    found = list(parts(filesystem(Location("landing/x", str(folder))), "day.parquet", columns, refused=refused))
    taken = [row for part in found for row in part.rows.to_pylist()]
    return taken, [it for part in found for it in part.misfits]


MOMENT = datetime(2013, 1, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "kind", "value"),
    [
        (pa.array([1], pa.int64()), "int32", 1),
        (pa.array([1], pa.uint8()), "int64", 1),
        (pa.array([2**40], pa.uint64()), "int64", 2**40),
        (pa.array([2**53]), "float64", float(2**53)),
        (pa.array([0.1], pa.float32()), "float64", float(np.float32(0.1))),
        (pa.array(["a"], pa.large_string()), "string", "a"),
        (pa.array(["a"]).dictionary_encode(), "string", "a"),
        (pa.array([date(2013, 1, 31)], pa.date64()), "date", date(2013, 1, 31)),
        (pa.array([MOMENT], pa.timestamp("ms", "America/New_York")), "timestamp", MOMENT),
        (pa.array([MOMENT], pa.timestamp("ns", "UTC")), "timestamp", MOMENT),
        (pa.array([Decimal("1.20")], pa.decimal128(5, 2)), "decimal(5,1)", Decimal("1.2")),
        (pa.array([Decimal("-12.50")], pa.decimal128(10, 2)), "string", "-12.50"),
        (pa.array([Decimal("12.5")], pa.decimal256(38, 10)), "string", "12.5000000000"),
        (pa.array([Decimal("1E-10")], pa.decimal128(38, 10)), "string", "0.0000000001"),
        (pa.array([Decimal("0")], pa.decimal128(38, 10)).dictionary_encode(), "string", "0.0000000000"),
        (pa.array([None], pa.decimal128(10, 2)), "string", None),
        (pa.nulls(1), "int32", None),
    ],
    ids=lambda it: str(it.type) if isinstance(it, pa.Array) else str(it),
)
def test_a_value_that_its_declared_type_holds_is_taken(tmp_path: Path, found: pa.Array, kind: str, value: Any) -> None:
    assert read(tmp_path, pa.table({"v": found}), {"v": kind}) == ([{"v": value}], [])


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (pa.array([2**31], pa.int64()), "int32"),
        (pa.array([2**63], pa.uint64()), "int64"),
        (pa.array([2**53 + 1]), "float64"),
        (pa.array([1], pa.timestamp("ns", "UTC")), "timestamp"),
        (pa.array([Decimal("1.25")], pa.decimal128(5, 2)), "decimal(5,1)"),
    ],
    ids=lambda it: str(it.type) if isinstance(it, pa.Array) else str(it),
)
def test_a_value_that_would_lose_something_is_a_misfit_of_its_row_alone(
    tmp_path: Path, found: pa.Array, kind: str
) -> None:
    table = pa.table({"v": pa.concat_arrays([found, pa.nulls(1, found.type)])})
    taken, (misfit,) = read(tmp_path, table, {"v": kind})
    assert taken == [{"v": None}]
    assert (misfit.offset, misfit.rule) == (0, "type")
    with pytest.raises(SourceError, match=r"day\.parquet cannot be read as declared: Row #1: v: "):
        read(tmp_path, table, {"v": kind}, refused=["type", "columns"])


@pytest.mark.parametrize(
    ("found", "kind", "said"),
    [
        (pa.array([1.7]), "int32", "v is double, but it is declared as int32"),
        (pa.array([1.0]), "int64", "v is double"),
        (pa.array(["1"]), "int32", "v is string"),
        (pa.array([1]), "string", "v is int64"),
        (pa.array([1]), "boolean", "v is int64"),
        (
            pa.array([MOMENT.replace(tzinfo=None)]),
            "timestamp",
            r"v is timestamp\[us\], but it is declared",
        ),
        (pa.array([MOMENT]), "date", r"v is timestamp\[us, tz=UTC\]"),
        (pa.array([Decimal("1.0")]), "float64", "v is decimal"),
        (pa.array([[1]]), "int32", "v is list"),
    ],
    ids=lambda it: str(it.type) if isinstance(it, pa.Array) else str(it),
)
def test_a_column_of_another_kind_is_never_cast(tmp_path: Path, found: pa.Array, kind: str, said: str) -> None:
    with pytest.raises(SourceError, match=rf"day\.parquet cannot be read as declared: Row #1: {said}"):
        read(tmp_path, pa.table({"v": found}), {"v": kind}, refused=["type", "columns"])
    taken, misfits = read(tmp_path, pa.table({"v": found}), {"v": kind})
    assert (taken, len(misfits)) == ([], 1)


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    table = pa.table({"b": ["x"], "a": [1]})
    assert read(tmp_path, table, {"a": "int64", "b": "string"})[0] == [{"a": 1, "b": "x"}]
    with pytest.raises(SourceError, match=r"day\.parquet has no column c, but its source declares it"):
        read(tmp_path, table, {"a": "int64", "b": "string", "c": "string"})
    with pytest.raises(SourceError, match=r"day\.parquet has a column b that its source does not declare"):
        read(tmp_path, table, {"a": "int64"}, refused=["type", "columns"])


@pytest.mark.parametrize("keep", [0, 3, 500, -5], ids=["empty", "four bytes", "cut off", "without its end"])
def test_a_file_that_is_not_whole_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    pq.write_table(pa.table({"v": list(range(10_000))}), tmp_path / "whole.parquet")
    (tmp_path / "day.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:keep])
    with pytest.raises(SourceError, match=r"day\.parquet is no whole Parquet file"):
        list(parts(filesystem(Location("landing/x", str(tmp_path))), "day.parquet", {"v": "int64"}))


def test_a_large_file_is_read_a_part_at_a_time(tmp_path: Path) -> None:
    # given 80 megabytes in one row group
    pq.write_table(pa.table({"v": np.arange(10_000_000)}), tmp_path / "day.parquet", row_group_size=10_000_000)
    with open(tmp_path / "day.parquet", "rb") as stream:
        before = pa.total_allocated_bytes()
        held = 0
        count = 0
        for part in rows(opened(stream), {"v": "int64"}):
            held = max(held, pa.total_allocated_bytes() - before)
            assert part.offsets[0].as_py() == part.rows["v"][0].as_py() == count
            count += part.rows.num_rows
    assert count == 10_000_000
    assert held < 40 * 2**20


@pytest.mark.parametrize(
    ("found", "kind", "shown"),
    [
        (pa.array([0, 2_932_897], pa.int32()).view(pa.date32()), "date", "10000-01-01"),
        (pa.array([0, 2**31 - 1], pa.int32()).view(pa.date32()), "date", "<value out of range: 2147483647>"),
        (
            pa.array([0, -719_162 * 24 * 3600 * 10**6 - 1], pa.int64()).view(pa.timestamp("us", "UTC")),
            "timestamp",
            "0000-12-31 23:59:59.999999Z",
        ),
    ],
)
def test_a_moment_outside_the_years_that_tables_hold_is_a_misfit(
    tmp_path: Path, found: pa.Array, kind: str, shown: str
) -> None:
    (taken,), (misfit,) = read(tmp_path, pa.table({"v": found}), {"v": kind})
    assert taken["v"].year == 1970
    assert (misfit.offset, misfit.rule) == (1, "type")
    assert misfit.reason == f"v: {shown} is outside the years 1 to 9999, which tables hold"
    assert misfit.row == f'{{"v": "{shown}"}}'
    with pytest.raises(SourceError, match=r"day\.parquet cannot be read as declared: Row #2: v: .*outside the years"):
        read(tmp_path, pa.table({"v": found}), {"v": kind}, refused=["type"])


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "dictionary"])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_text_that_is_no_utf_8_is_a_misfit_of_its_row_alone(tmp_path: Path, kind: pa.DataType, encoded: bool) -> None:
    given = pa.array([b"a", b"b\xff", None, b"c"], pa.binary() if kind == pa.string() else pa.large_binary())
    texts = pa.Array.from_buffers(kind, len(given), given.buffers())
    places = pa.array([0, 1, None, 2], pa.int32())
    column = pa.DictionaryArray.from_arrays(places, texts.drop_null()) if encoded else texts
    taken, misfits = read(tmp_path, pa.table({"n": [0, 1, 2, 3], "v": column}), {"n": "int64", "v": "string"})
    assert taken == [{"n": 0, "v": "a"}, {"n": 2, "v": None}, {"n": 3, "v": "c"}]
    assert [(it.offset, it.reason.partition(":")[0]) for it in misfits] == [(1, "v")]
    assert "Invalid UTF8" in misfits[0].reason
    assert json.loads(misfits[0].row)["n"] == 1


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize(
    "texts", [["Zürich", "", None, "東京", "plain", "é" * 20], ["a", "b" * 20, None, ""], [None, None], ["", ""]]
)
def test_text_is_taken_whatever_letters_it_has(tmp_path: Path, texts: list[str | None], kind: pa.DataType) -> None:
    rows = pa.table({"v": pa.array(texts, kind).slice(1)})
    assert read(tmp_path, rows, {"v": "string"}) == ([{"v": text} for text in texts[1:]], [])


def test_a_letter_that_is_cut_in_two_is_none(tmp_path: Path) -> None:
    cut = pa.array([b"\xc3", b"\xa9"], pa.binary())
    halves = pa.table({"v": pa.Array.from_buffers(pa.string(), 2, cut.buffers())})
    taken, misfits = read(tmp_path, halves, {"v": "string"})
    assert (taken, [it.offset for it in misfits]) == ([], [0, 1])
