from __future__ import annotations

import csv
import gzip
import io
import random
import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import csv_rows, source_rows
from ml_platform.engine.column_types import arrow_schema
from ml_platform.engine.csv_rows import converted, rows
from ml_platform.engine.csv_text import Text
from ml_platform.engine.files import filesystem
from ml_platform.engine.source_files import parts, read_csv
from ml_platform.engine.source_rows import COLUMNS as STRANGE
from ml_platform.engine.source_rows import Misfit
from ml_platform.errors import SourceError
from ml_platform.records.table import Location

COLUMNS = {"n": "int32", "text": "string"}


def parse(path: str, content: bytes, columns: dict[str, str]) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / path).write_bytes(content)
        return read_csv(filesystem(Location("landing/x", folder)), path, columns)


def divided(text: str | bytes, columns: dict[str, str] = COLUMNS) -> tuple[dict[int, dict[str, Any]], list[Misfit]]:
    """What a lenient source takes, by its place, and what it does not."""
    content = text.encode() if isinstance(text, str) else text
    taken, misfits = {}, []
    for part in rows(Text("day.csv", io.BytesIO(content)), "day.csv", columns, lenient=True):
        taken.update(zip(part.offsets.to_pylist(), part.rows.to_pylist(), strict=True))
        misfits += part.misfits
    return taken, misfits


def parsed(content: bytes | str, columns: dict[str, str] = COLUMNS, path: str = "day.csv") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parse(
        path, content.encode() if isinstance(content, str) else content, columns
    ).to_pylist()
    return found


def test_rows_have_the_declared_types() -> None:
    columns = {
        "s": "string", "i": "int32", "l": "int64", "f": "float64", "b": "boolean", "d": "date", "t": "timestamp"
    }  # fmt: skip
    text = (
        "s,i,l,f,b,d,t\n7,1,3000000000,0.5,true,2013-01-31,2013-01-01T05:00:00Z\n,,,,false,,2013-01-01T00:00:00-05:00\n"
    )
    table = parse("day.csv", text.encode(), columns)
    assert table.schema == arrow_schema(columns)
    moment = datetime(2013, 1, 1, 5, tzinfo=UTC)
    assert table.to_pylist() == [
        {"s": "7", "i": 1, "l": 3_000_000_000, "f": 0.5, "b": True, "d": date(2013, 1, 31), "t": moment},
        {"s": None, "i": None, "l": None, "f": None, "b": False, "d": None, "t": moment},
    ]


def test_columns_may_stand_in_any_order_in_the_file() -> None:
    table = parse("day.csv", b"text,n\na,1\n", COLUMNS)
    assert table.column_names == ["n", "text"]
    assert table.to_pylist() == [{"n": 1, "text": "a"}]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_quoted_fields_hold_commas_line_breaks_and_quotes(ending: str, mark: bytes) -> None:
    lines = ["n,text", '1,"a,b"', '2,"a\nb"', '3,"say ""a"""', '"4",""']
    content = mark + "".join(f"{line}{ending}" for line in lines).encode()
    assert parsed(content) == [
        {"n": 1, "text": "a,b"}, {"n": 2, "text": "a\nb"}, {"n": 3, "text": 'say "a"'}, {"n": 4, "text": None}
    ]  # fmt: skip


def test_a_large_file_is_read_as_the_standard_library_reads_it() -> None:
    # given some megabytes, so that line breaks inside quotes fall on any boundary
    source = random.Random(7)  # noqa: S311 - a test's data
    texts = ["".join(source.choices('ab,"\n é', k=source.randrange(1, 40))) for _ in range(100_000)]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows(enumerate(texts))
    # then every row is there
    found = parse("day.csv", written.getvalue().encode(), COLUMNS)
    expected = list(csv.reader(io.StringIO(written.getvalue(), newline="")))[1:]
    assert found["text"].to_pylist() == [text for _, text in expected] == texts
    assert found["n"].to_pylist() == list(range(100_000))


def test_a_header_alone_has_no_rows() -> None:
    assert parsed("n,text\n") == []


def test_an_empty_line_is_no_row_but_of_a_single_column_it_is_one() -> None:
    assert parsed("n,text\n1,a\n\n2,b\n\n") == [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]
    assert parsed("n\n1\n\n2\n", {"n": "int32"}) == [{"n": 1}, {"n": None}, {"n": 2}]


def test_a_compressed_file_is_read_as_the_plain_one() -> None:
    assert parsed(gzip.compress(b"n,text\n1,a\n"), path="day.csv.gz") == [{"n": 1, "text": "a"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "day.csv is empty"),
        ("n,text\n1,a\n2,", "day.csv is cut off in its last line"),
        ('n,text\n1,a\n2,"b\n', "day.csv is cut off inside a quoted field"),
        ('n,text\n1,"a\n2,b\n3,c\n', "day.csv is cut off inside a quoted field"),
        (b"n,t\xe9\n", "day.csv is not UTF-8"),
        (b"n,text\n1,\xe9\n", "day.csv cannot be read as declared.*Row #2.*invalid UTF8"),
        ("n,text\r1,a\r", "day.csv has a line that ends in CR alone, but lines end in LF or in CRLF"),
        ("n,text\r1,a\n2,b\n", "day.csv has a line that ends in CR alone"),
        ("n" * 200_000 + "\n", "day.csv is without a header that can be read"),
        ("n\n1\n", "day.csv has no column text, but its source declares it"),
        ("N,text\n1,a\n", "day.csv has no column n, but.*Known are N, text"),
        ("n,text,more\n1,a,b\n", "day.csv has a column more that its source does not declare"),
        ("n,text,n\n1,a,2\n", "day.csv has the column n twice"),
        ("n,text\n1,a\nx,b\n", "day.csv cannot be read as declared.*Row #3: CSV conversion error to int32: .*'x'"),
        ("n,text\n1.5,a\n", "Row #2: CSV conversion error to int32"),
        ("n,text\n3000000000,a\n", "Row #2: CSV conversion error to int32"),
        ("n,text\n1\n", "day.csv cannot be read as declared.*Expected 2 columns, got 1"),
        ("n,text\n1,a,b\n", "day.csv cannot be read as declared.*Expected 2 columns, got 3"),
    ],
)
def test_a_damaged_file_is_refused_by_name(content: bytes | str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        parsed(content)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("timestamp", "2013-01-01T00:00:00"),
        ("timestamp", "noon"),
        ("date", "2013-02-30"),
        ("date", "01/31/2013"),
        ("boolean", "1"),
        ("boolean", "yes"),
        ("float64", "1,5"),
    ],
)
def test_a_field_that_its_type_cannot_hold_is_refused(kind: str, value: str) -> None:
    with pytest.raises(SourceError, match=r"day\.csv cannot be read as declared.*Row #2"):
        parsed(f'n,text\n"{value}",a\n', {"n": kind, "text": "string"})


@pytest.mark.parametrize(
    "content", [gzip.compress(b"n,text\n1,a\n" * 1000)[:-20], b"n,text\n1,a\n"], ids=["cut off", "not compressed"]
)
def test_a_damaged_compressed_file_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(SourceError, match=r"day\.csv\.gz is no whole gzip file"):
        parsed(content, path="day.csv.gz")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    files = filesystem(Location("landing/x", str(tmp_path)))
    with pytest.raises(SourceError, match=r"day\.csv was listed, but it is gone"):
        read_csv(files, "day.csv", COLUMNS)
    (tmp_path / "day.csv").write_text("n,text\n1,a\n")
    assert read_csv(files, "day.csv", COLUMNS).equals(pa.table({"n": pa.array([1], "int32"), "text": ["a"]}))


def test_a_row_that_does_not_fit_is_told_with_its_place_and_the_rest_is_taken() -> None:
    taken, misfits = divided("n,text\n1,a\nx,b\n\n1.7,\n3,d\n")
    assert taken == {0: {"n": 1, "text": "a"}, 3: {"n": 3, "text": "d"}}
    assert [(it.offset, it.rule, it.row) for it in misfits] == [
        (1, "type", '{"n": "x", "text": "b"}'),
        (2, "type", '{"n": "1.7", "text": null}'),
    ]
    assert "n: " in misfits[0].reason
    assert "'x'" in misfits[0].reason


def test_a_row_says_every_fault_that_it_has() -> None:
    _, (misfit,) = divided("n,day\nx,2013-02-30\n", {"n": "int32", "day": "date"})
    assert "n: " in misfit.reason
    assert "day: " in misfit.reason


def test_a_line_with_another_number_of_fields_keeps_the_places_of_those_behind_it() -> None:
    taken, misfits = divided("n,text\n1,a\n2,b,c\n3,c\n4\n5,e\n")
    assert {place: row["n"] for place, row in taken.items()} == {0: 1, 2: 3, 4: 5}
    assert [(it.offset, it.row, it.reason) for it in misfits] == [
        (1, "2,b,c", "Expected 2 columns, got 3"),
        (3, "4", "Expected 2 columns, got 1"),
    ]


def test_places_go_on_over_the_parts_of_a_large_file() -> None:
    # given some ten megabytes, of which each thousandth line is ragged and each of 1,500 is no number
    lines = [f"{n if n % 1500 else 'x'},{'z' * 100}{',more' if n % 1000 == 7 else ''}\n" for n in range(100_000)]
    taken, misfits = divided("n,text\n" + "".join(lines))
    bad = {n for n in range(100_000) if n % 1500 == 0 or n % 1000 == 7}
    assert {it.offset for it in misfits} == bad
    assert all(place == row["n"] for place, row in taken.items())
    assert set(taken) == set(range(100_000)) - bad


def test_bytes_that_are_no_text_are_a_misfit_of_their_row_alone() -> None:
    taken, misfits = divided(b"n,text\n1,\xe9\n2,b\n")
    assert list(taken) == [1]
    assert [it.offset for it in misfits] == [0]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("int32", "1"), ("int32", " 1"), ("int32", "1.0"), ("int64", "1e3"), ("boolean", "true"), ("boolean", "True"),
     ("date", "2013-01-31"), ("date", "2013-1-1"), ("timestamp", "2013-01-01T00:00:00Z"), ("timestamp", "2013-01-01"),
     ("timestamp", "2013-01-01 00:00:00+01"), ("float64", "nan"), ("float64", ".5"), ("decimal(5,2)", "1.25"),
     ("decimal(5,2)", "1.255"), ("decimal(5,2)", "1000")],
)  # fmt: skip
def test_a_lenient_source_takes_what_a_strict_one_takes(kind: str, value: str) -> None:
    columns = {"v": kind, "text": "string"}
    text = f'v,text\n"{value}",a\n'
    taken, misfits = divided(text, columns)
    try:
        table = parse("day.csv", text.encode(), columns)
    except SourceError:
        assert len(misfits) == 1
    else:
        assert repr(list(taken.values())) == repr(table.to_pylist())
    assert len(taken) + len(misfits) == 1


def test_texts_keep_quotes_and_line_breaks_when_they_are_converted() -> None:
    texts = ['say "a"', "a\nb", None, "a,b"]
    assert converted(pa.array([it.encode() if it else None for it in texts]), "string").to_pylist() == texts


def test_a_file_with_a_strange_column_gives_no_row_where_those_are_quarantined(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("n,more,text\n1,x,a\n2,y,b\n")
    files = filesystem(Location("landing/x", str(tmp_path)))
    (part,) = parts(files, "day.csv", COLUMNS, refused=["type"])
    assert part.rows.num_rows == 0
    assert [(it.offset, it.rule, it.row) for it in part.misfits] == [
        (0, STRANGE, '{"n": "1", "more": "x", "text": "a"}'),
        (1, STRANGE, '{"n": "2", "more": "y", "text": "b"}'),
    ]
    assert "day.csv has a column more" in part.misfits[0].reason


@pytest.mark.parametrize("cut", ["n,text\n1,a\nx,", 'n,text\n1,a\n2,"b\n'])
def test_a_file_that_is_cut_off_is_refused_by_a_lenient_source_too(cut: str) -> None:
    with pytest.raises(SourceError, match=r"day\.csv is cut off"):
        divided(cut)


_BEYOND = [
    ("decimal(5,2)", "1000", "'1000' is more than decimal(5,2) holds"),
    ("decimal(5,2)", "99999", "'99999' is more than decimal(5,2) holds"),
    ("decimal(5,2)", "-1e3", "'-1e3' is more than decimal(5,2) holds"),
    # which Arrow's reader multiplies until it wraps around, into another number
    ("decimal(38,2)", "9" * 38, f"'{'9' * 38}' is more than decimal(38,2) holds"),
    ("int32", "0xFFFFFFFF", "CSV conversion error to int32: invalid value '0xFFFFFFFF'"),
    ("int32", "0x80000000", "CSV conversion error to int32: invalid value '0x80000000'"),
    ("int64", "0X10", "CSV conversion error to int64: invalid value '0X10'"),
    ("float64", "1e400", "'1e400' is more than float64 holds"),
    ("float64", "-1e400", "'-1e400' is more than float64 holds"),
    ("date", "0000-01-01", "'0000-01-01' is outside the years 1 to 9999, which tables hold"),
    ("timestamp", "0001-01-01T00:00:00+10:00", "'0001-01-01T00:00:00+10:00' is outside the years 1 to 9999"),
    ("timestamp", "9999-12-31T23:59:59-10:00", "'9999-12-31T23:59:59-10:00' is outside the years 1 to 9999"),
]


@pytest.mark.parametrize(("kind", "value", "why"), _BEYOND)
def test_a_value_that_its_type_does_not_hold_is_a_misfit_and_nothing_else_is(kind: str, value: str, why: str) -> None:
    columns = {"v": kind, "text": "string"}
    text = f"v,text\n,a\n{value},b\n,0x10\n"

    taken, (misfit,) = divided(text, columns)

    assert {place: row["text"] for place, row in taken.items()} == {0: "a", 2: "0x10"}
    assert (misfit.offset, misfit.rule) == (1, "type")
    assert misfit.reason.startswith("v: ")
    assert why in misfit.reason
    with pytest.raises(SourceError, match=rf"day\.csv cannot be read as declared: Row #3: v: .*{re.escape(why)}"):
        parse("day.csv", text.encode(), columns)


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [
        ("float64", "inf", float("inf")),
        ("float64", "-Infinity", float("-inf")),
        ("decimal(5,2)", "999.99", Decimal("999.99")),
        ("decimal(38,2)", "9" * 36, Decimal("9" * 36)),
        ("decimal(38,2)", " 1.5", Decimal("1.5")),
        ("date", "0001-01-01", date.min),
        ("date", "9999-12-31", date.max),
        ("int64", "7", 7),
    ],
)
@pytest.mark.parametrize("beside", ["a", "0x10"])
def test_a_value_that_its_type_just_holds_is_taken(kind: str, value: str, taken: Any, beside: str) -> None:
    rows_ = parsed(f"v,text\n{value},{beside}\n", {"v": kind, "text": "string"})
    assert rows_ == [{"v": taken, "text": beside}]


def test_a_doubtful_value_far_into_a_file_is_found_and_each_row_before_it_comes_once() -> None:
    # given some ten megabytes of good rows, and a text that looks like a hexadecimal number behind them
    good = "".join(f"{n},{'z' * 100}\n" for n in range(100_000))

    assert parse("day.csv", f"n,text\n{good}7,0x7\n".encode(), COLUMNS)["n"].to_pylist() == [*range(100_000), 7]
    with pytest.raises(SourceError, match=r"Row #100002: n: .*invalid value '0x7'"):
        parse("day.csv", f"n,text\n{good}0x7,a\n".encode(), COLUMNS)


_TEXTS = [
    "",
    " ",
    "1",
    " 1",
    "1 ",
    "+1",
    "-1",
    "--1",
    "0x1F",
    "0X1f",
    "-0x1",
    "1f",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "1e400",
    "inf",
]
_TEXTS += ["-Infinity", "nan", "NaN", "NA", "x", "true", "True", "0", "false", "2013-02-28", "2013-02-30", "2013-2-3"]
_TEXTS += [
    "2013-02-28 10:00:00",
    "2013-02-28T10:00:00Z",
    " 2013-02-28",
    "20130228",
    "99999999999999999999",
    "1,5",
    "a\nb",
]
_TEXTS += ["\t7", "7\n", "\u0667", "nil", "1_000", "$1", "'1'", "1;", "t", "T", "(1)"]


@pytest.mark.parametrize("kind", ["int32", "int64", "float64", "decimal(9,2)", "boolean", "date", "timestamp"])
def test_whatever_converts_has_its_types_form(kind: str) -> None:
    # given texts that Arrow takes for values of the type, and such that it does not
    column = pa.array([text.encode() for text in _TEXTS], pa.binary())
    form = csv_rows._FORMS[kind.partition("(")[0]]
    one_by_one = [
        (at, why)
        for at in range(len(_TEXTS))
        for _, why in source_rows._halved(column.slice(at, 1), lambda it: csv_rows.converted(it, kind))
    ]
    assert 0 < len(one_by_one) < len(_TEXTS)
    # then those that are found by their form are those that are found one by one, for the same reasons
    assert source_rows.divided(column, lambda it: csv_rows.converted(it, kind), form) == (None, one_by_one)
