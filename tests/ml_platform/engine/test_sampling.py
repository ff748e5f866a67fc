from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileSystem

from ml_platform.engine.files import filesystem
from ml_platform.engine.sampling import Sample, Sampled, sample
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

UNTOLD = Sampled("string", "no value in the sample")


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    return filesystem(Location("landing/x", str(tmp_path)))


def kinds(found: Sample) -> dict[str, str]:
    return {name: column.kind for name, column in found.columns.items()}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["true", "", "false"], "boolean"),
        (["true", "0"], "string"),
        (["1", "-2", "0"], "int64"),
        (["9223372036854775807"], "int64"),
        (["1", "1.5"], "float64"),
        (["1e3", "-0.5"], "float64"),
        # ids, and what a number would lose
        (["007", "12"], "string"),
        (["-07.5"], "string"),
        (["0x1F"], "string"),
        (["+1"], "string"),
        ([" 1"], "string"),
        (["1.5", "9223372036854775807"], "string"),
        (["9223372036854775808"], "string"),
        (["nan", "1.5"], "string"),
        # moments
        (["2013-01-02", "2013-02-01"], "date"),
        (["2013-02-30"], "string"),
        (["2013-01-02T08:00:00Z", "2013-01-02 08:00:00+01:00"], "timestamp"),
        (["2013-01-02T08:00:00"], "string"),
        (["2013-01-02", "2013-01-02T08:00:00Z"], "string"),
        # what is mixed
        (["1", "long"], "string"),
        (["1", "2013-01-02"], "string"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else value,
)
def test_a_csv_column_has_the_type_that_holds_all_of_its_values(
    tmp_path: Path, files: FileSystem, values: list[str], kind: str
) -> None:
    (tmp_path / "a.csv").write_text("\n".join(["row,x", *(f"r,{value}" for value in values), ""]))
    assert kinds(sample(files, ["a.csv"])) == {"row": "string", "x": kind}


def test_every_row_of_every_file_counts(tmp_path: Path, files: FileSystem) -> None:
    (tmp_path / "a.csv").write_text("n,m\n" + "1,\n" * 900_000)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"m,n\n,1\n,1.5\n"))
    assert sample(files, ["a.csv"]).columns == {"n": Sampled("int64"), "m": UNTOLD}
    assert sample(files, ["a.csv", "b.csv.gz"]).columns == {"n": Sampled("float64"), "m": UNTOLD}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["true", "null"], Sampled("boolean")),
        (["1", "-9223372036854775808"], Sampled("int64")),
        (["1", "1.5"], Sampled("float64")),
        (["1e3"], Sampled("float64")),
        (['"007"'], Sampled("string")),
        (['"2013-01-02"'], Sampled("date")),
        (['"2013-01-02T08:00:00Z"', "null"], Sampled("timestamp")),
        (['""', '"2013-01-02"'], Sampled("string")),
        (['""'], Sampled("string")),
        (["null"], UNTOLD),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else value.kind,
)
def test_a_key_of_json_lines_has_the_type_that_holds_all_of_its_values(
    tmp_path: Path, files: FileSystem, values: list[str], told: Sampled
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"x": {value}}}\n' for value in values) + '{"y": 1}\n')
    assert sample(files, ["a.jsonl"]) == Sample({"x": told, "y": Sampled("int64")})


@pytest.mark.parametrize(
    "values", [["1", '"long"'], ["true", "1"], ["9223372036854775808"], ["9007199254740993", "1.5"]]
)
def test_json_values_that_no_type_holds_are_said_to_be_quarantined(
    tmp_path: Path, files: FileSystem, values: list[str]
) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"x": {value}}}\n' for value in values))
    found = sample(files, ["a.jsonl"])
    assert found.quarantines
    assert found.columns["x"].kind == "string"
    assert "what is no text is quarantined" in found.columns["x"].note


def test_parquet_columns_have_the_types_of_the_schema(tmp_path: Path, files: FileSystem) -> None:
    table = pa.table(
        {
            "small": pa.array([1], pa.int16()),
            "large": pa.array([1], pa.int64()),
            "price": pa.array([Decimal("1.50")], pa.decimal128(15, 2)),
            "text": pa.array(["a"], pa.large_string()).dictionary_encode(),
            "day": pa.array([date(2013, 1, 2)]),
            "at": pa.array([datetime(2013, 1, 2, tzinfo=UTC)]),
            "nothing": pa.nulls(1),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert sample(files, ["a.parquet"]).columns == {
        "small": Sampled("int32"),
        "large": Sampled("int64"),
        "price": Sampled("decimal(15,2)"),
        "text": Sampled("string"),
        "day": Sampled("date"),
        "at": Sampled("timestamp"),
        "nothing": UNTOLD,
    }


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (pa.int32(), pa.int64(), "int64"),
        (pa.float64(), pa.int32(), "float64"),
        (pa.decimal128(5, 2), pa.decimal128(6, 1), "decimal(7,2)"),
        (pa.null(), pa.int32(), "int32"),
    ],
    ids=str,
)
def test_where_parquet_files_differ_the_wider_type_counts(
    tmp_path: Path, files: FileSystem, one: pa.DataType, other: pa.DataType, kind: str
) -> None:
    for name, of in (("a", one), ("b", other)):
        pq.write_table(pa.table({"x": pa.array([None], of)}), tmp_path / f"{name}.parquet")
    assert kinds(sample(files, ["a.parquet", "b.parquet"])) == {"x": kind}
    assert kinds(sample(files, ["b.parquet", "a.parquet"])) == {"x": kind}


WRONG: dict[str, tuple[dict[str, bytes], str]] = {
    "unknown ending": ({"a.xlsx": b"x"}, r"a\.xlsx has a name that says no format"),
    "two formats": ({"a.csv": b"n\n1\n", "b.jsonl": b'{"n": 1}\n'}, r"a\.csv is csv, b\.jsonl is jsonl, but"),
    "empty CSV": ({"a.csv": b""}, r"a\.csv is empty"),
    "empty JSON lines": ({"a.jsonl": b"\n"}, r"a\.jsonl is empty"),
    "no Parquet": ({"a.parquet": b""}, r"a\.parquet is no whole Parquet file"),
    "a header alone": ({"a.csv": b"n,m\n"}, r"a\.csv has a header but no row"),
    "cut off": ({"a.csv": b"n,m\n1,2\n3"}, r"a\.csv is cut off"),
    "a ragged row": ({"a.csv": b"n,m\n1,2\n3\n"}, r"a\.csv cannot be read as declared: .*Expected 2 columns, got 1"),
    "other columns": (
        {"a.csv": b"n,m\n1,2\n", "b.csv": b"n,k\n1,2\n"},
        r"b\.csv lacks m of a\.csv and has k, which a\.csv has not, but",
    ),
    "a column twice": ({"a.csv": b"n,n\n1,2\n"}, r"a\.csv has the column n twice"),
    "no JSON": ({"a.jsonl": b'{"n": 1}\n{"n": \n'}, r"line 2 of a\.jsonl is no JSON"),
    "no object": ({"a.jsonl": b"[1]\n"}, r"line 1 of a\.jsonl is no JSON object"),
    "nested": ({"a.jsonl": b'{"n": {"m": 1}}\n'}, r"line 1 of a\.jsonl is nested in n"),
    "no key": ({"a.jsonl": b"{}\n"}, r"a\.jsonl has no column"),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_no_source_takes_are_refused(tmp_path: Path, files: FileSystem, case: str) -> None:
    contents, said = WRONG[case]
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=said):
        sample(files, sorted(contents))


def test_a_parquet_type_that_no_source_declares_is_refused(tmp_path: Path, files: FileSystem) -> None:
    pq.write_table(pa.table({"at": pa.array([datetime(2013, 1, 2)])}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet has a column at of type timestamp\[us\], but no column"):
        sample(files, ["a.parquet"])


def test_parquet_values_that_the_wider_type_does_not_hold_are_refused(tmp_path: Path, files: FileSystem) -> None:
    pq.write_table(pa.table({"x": [1.5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [2**53 + 1]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet cannot be read as declared"):
        sample(files, ["a.parquet", "b.parquet"])
