"""The text of a CSV file. Whole files that are read and refused are in `test_csv_rows.py`."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ml_platform.engine import csv_text
from ml_platform.engine.csv_text import Text, _has_hexadecimal, _may_have_hexadecimal, _quotes
from ml_platform.errors import SourceError


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("n,text", ["n", "text"]),
        ("\ufeffn,text", ["n", "text"]),
        ('n,"a, ""b"""', ["n", 'a, "b"']),
        ('n,"two\nlines"', ["n", "two\nlines"]),
        ('n,"two\r\n\r\nmore",text', ["n", "two\r\n\r\nmore", "text"]),
        ("", []),
    ],
)
def test_a_header_ends_with_the_line_that_its_quotes_end_in(header: str, names: list[str], ending: str) -> None:
    text = Text("day.csv", io.BytesIO(f'{header}{ending}1,"a{ending}b"{ending}'.encode()))
    assert text.header() == names
    text.require_whole()


@pytest.mark.parametrize("content", ['n,"text\n1,a\n', 'n,"text' + "\n" * 100_000])
def test_a_quote_that_never_closes_is_told(content: str) -> None:
    text = Text("day.csv", io.BytesIO(content.encode()))
    assert text.header()[0] == "n"
    with pytest.raises(SourceError, match=r"day\.csv is cut off inside a quoted field"):
        text.require_whole()


@pytest.mark.parametrize("mark", [b"0x", b"0X"])
def test_a_hexadecimal_number_is_seen_over_the_end_of_what_is_read_at_once(mark: bytes) -> None:
    text = Text("day.csv", io.BytesIO(b"n\n" + mark + b"1\n"))
    text.watches = True
    while text.read(3):
        pass
    assert text.hexadecimal


@pytest.mark.parametrize("text", ["N10XYZ", "express", "10x", "A0X1", "x0"])
def test_a_word_with_an_x_in_it_is_no_reason_to_look_closely(text: str) -> None:
    assert not _has_hexadecimal(f"1,{text},2\n".encode(), b"\n")


@pytest.mark.parametrize("text", ["0x10", "0XF", "-0x1", '"0x1"', " 0x1"])
def test_a_word_that_begins_as_a_hexadecimal_number_is_one_wherever_a_block_ends(text: str) -> None:
    content = f"1,{text},2\n".encode()
    for cut in range(len(content)):
        head, rest = content[:cut], content[cut:]
        assert _has_hexadecimal(head, b"\n") or _has_hexadecimal(rest, head[-1:])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_looking_fast_misses_nothing_wherever_a_part_ends(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "_LOOK_BYTES", size)
    chance = np.random.default_rng(size)
    seen = 0
    for _ in range(2_000):
        drawn = bytes(chance.choice(list(b'0xX1a,\n"'), chance.integers(0, 20)).tolist())
        last, content = drawn[:1], drawn[1:]
        assert _quotes(content) == content.count(b'"')
        assert _may_have_hexadecimal(content, last) or not _has_hexadecimal(content, last)
        seen += not _may_have_hexadecimal(content, last)
    assert seen > 200
