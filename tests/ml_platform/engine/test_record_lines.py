from __future__ import annotations

import pytest

from ml_platform.engine.record_lines import decode, encode
from ml_platform.errors import ServiceError
from ml_platform.testing.prediction_log import served


def test_a_record_is_one_line_and_comes_back_as_it_was() -> None:
    line = encode(served(1, note="two\nlines"))
    assert line.count(b"\n") == 1
    assert decode(line, "log", 1) == served(1, note="two\nlines")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"output": 1'])
def test_a_line_that_is_no_record_is_named_by_its_place(line: bytes) -> None:
    with pytest.raises(ServiceError, match="line 7 of delay/0 is no record of a prediction"):
        decode(line, "delay/0", 7)
