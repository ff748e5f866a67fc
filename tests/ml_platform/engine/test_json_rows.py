from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ml_platform.engine import json_rows
from ml_platform.engine.json_rows import kinds, rows
from ml_platform.engine.source_rows import Misfit
from ml_platform.errors import SourceError

COLUMNS = {"n": "int32", "text": "string"}


def read(text: str | bytes, columns: dict[str, str] = COLUMNS) -> tuple[dict[int, dict[str, Any]], list[Misfit]]:
    taken, misfits = {}, []
    for part in rows(io.BytesIO(text.encode() if isinstance(text, str) else text), "day.jsonl", columns):
        taken.update(zip(part.offsets.to_pylist(), part.rows.to_pylist(), strict=True))
        misfits += part.misfits
    return taken, misfits


def test_lines_have_the_declared_types() -> None:
    columns = {
        "s": "string", "i": "int32", "l": "int64", "f": "float64", "b": "boolean", "d": "date", "t": "timestamp",
        "m": "decimal(9,2)",
    }  # fmt: skip
    line = '{"s":"7","i":1,"l":3000000000,"f":2,"b":true,"d":"2013-01-31","t":"2013-01-01T00:00:00-05:00","m":1.25}\n'
    taken, misfits = read(line, columns)
    assert misfits == []
    assert taken == {
        0: {
            "s": "7", "i": 1, "l": 3_000_000_000, "f": 2.0, "b": True, "d": date(2013, 1, 31),
            "t": datetime(2013, 1, 1, 5, tzinfo=UTC), "m": Decimal("1.25"),
        }
    }  # fmt: skip


def test_a_missing_key_and_a_null_are_null_and_an_empty_line_is_no_row() -> None:
    taken, misfits = read('{"n":1}\n\n{"text":null,"n":2}\r\n{"text":"c"}')
    assert misfits == []
    assert taken == {0: {"n": 1, "text": None}, 1: {"n": 2, "text": None}, 2: {"n": None, "text": "c"}}


@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_an_empty_text_is_a_text_and_no_moment(kind: str) -> None:
    taken, (misfit,) = read('{"at":null}\n{"at":""}\n{}\n', {"at": kind})
    assert taken == {0: {"at": None}, 2: {"at": None}}
    assert (misfit.offset, misfit.reason) == (1, f'at is "", but it is declared as {kind}')
    assert read('{"at":""}\n', {"at": "string"}) == ({0: {"at": ""}}, [])


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        ('{"n":1.7,"text":"a"}', "type", "n is 1.7, but it is declared as int32"),
        ('{"n":1.0}', "type", "n is 1.0, but it is declared as int32"),
        ('{"n":3000000000}', "type", "n is 3000000000, but it is declared as int32"),
        ('{"n":"1"}', "type", 'n is "1", but it is declared as int32'),
        ('{"text":1}', "type", "text is 1, but it is declared as string"),
        ('{"n":true,"text":false}', "type", "n is true, .*int32; text is false, .*string"),
        ('{"text":{"a":1}}', "type", "text is nested"),
        ('{"text":["a"]}', "type", "text is"),
        ('{"n":1,"n":2}', "type", "the key n stands twice"),
        ('{"n":1,"more":2}', "columns", "the line has a key more that its source does not declare"),
        ('{"n":1}{"n":2}', "type", "the line is no JSON"),
        ("[1]", "type", "the line is no JSON object"),
        ('{"n":1', "type", "the line is no JSON"),
        ("nonsense", "type", "the line is no JSON"),
        ("null", "type", "the line is no JSON object"),
        ('"text"', "type", "the line is no JSON object"),
        ('{"n":1}null', "type", "the line is no JSON"),
        ('{"text":' + "[" * 100_000 + "]" * 100_000 + "}", "type", "the line is nested too deeply"),
        ('{"more":' + '{"n":' * 100_000 + "1" + "}" * 100_001, "type", "the line is nested too deeply"),
    ],
)
def test_a_line_that_does_not_fit_is_told_alone(line: str, rule: str, reason: str) -> None:
    taken, (misfit,) = read(f'{{"n":1,"text":"a"}}\n{line}\n{{"n":3,"text":"c"}}\n')
    assert {place: row["n"] for place, row in taken.items()} == {0: 1, 2: 3}
    assert (misfit.offset, misfit.rule, misfit.row) == (1, rule, line)
    assert re.search(reason, misfit.reason)


def test_values_alone_that_are_no_objects_are_misfits_each() -> None:
    taken, misfits = read("null\n[1]\nnull\n7\n")
    assert taken == {}
    assert [(it.offset, it.reason) for it in misfits] == [(at, "the line is no JSON object") for at in range(4)]


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    assert read(b'\xef\xbb\xbf{"n":1}\n{"n":2}\n')[1] == []


@pytest.mark.parametrize(("kind", "value"), [("date", "2013-02-30"), ("timestamp", "2013-01-01T00:00:00")])
def test_a_text_that_is_no_moment_is_a_misfit(kind: str, value: str) -> None:
    _, (misfit,) = read(json.dumps({"at": value}), {"at": kind})
    assert misfit.reason == f'at is "{value}", but it is declared as {kind}'


def test_places_go_on_over_the_parts_of_a_large_file() -> None:
    lines = [json.dumps({"n": n if n % 10_000 else "x", "text": "z" * 100}) for n in range(100_000)]
    taken, misfits = read("\n".join(lines))
    assert [it.offset for it in misfits] == list(range(0, 100_000, 10_000))
    assert len(taken) == 99_990
    assert all(place == row["n"] for place, row in taken.items())


def test_bytes_that_are_no_text_are_a_misfit() -> None:
    taken, (misfit,) = read(b'{"text":"\xe9"}\n{"text":"b"}\n')
    assert list(taken) == [1]
    assert misfit.offset == 0


def test_keys_have_the_type_that_all_their_values_fit() -> None:
    text = '{"i":1,"f":1,"b":true,"s":"a","x":1,"d":[1]}\n{"f":2.5,"x":null}\n'
    found = kinds(io.BytesIO(text.encode()), "day.jsonl")
    assert found == {"i": "int64", "f": "float64", "b": "boolean", "s": "string", "x": "int64", "d": "string"}


def test_lines_that_are_no_objects_of_plain_values_say_nothing_of_keys() -> None:
    deep = '{"d":' + "[" * 100_000 + "]" * 100_000 + "}"
    text = f'null\n[1]\n{deep}\n{{"n":1,"s":"{"[" * 1_000}"}}\n'
    assert kinds(io.BytesIO(text.encode()), "day.jsonl") == {"n": "int64", "s": "string"}


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.engine.json_rows._LONGEST_LINE_BYTES", 100)
    with pytest.raises(SourceError, match=r"day\.jsonl has a line of more than 100 bytes"):
        read("x" * 101)


@pytest.mark.parametrize("every", [1, 3, 100])
def test_no_line_is_read_more_than_three_times_however_many_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    read_lines, original = [], json_rows._read
    monkeypatch.setattr(json_rows, "_read", lambda lines, columns: read_lines.extend(lines) or original(lines, columns))
    text = "".join('{"n": %s}\n' % ("true" if at % every == 0 else at) for at in range(1_000))

    taken, misfits = read(text)

    assert [misfit.offset for misfit in misfits] == list(range(0, 1_000, every))
    assert list(taken) == [at for at in range(1_000) if at % every]
    # and once more each that does not fit, to say what is wrong with it
    assert len(read_lines) <= 3 * 1_000 + len(misfits)
