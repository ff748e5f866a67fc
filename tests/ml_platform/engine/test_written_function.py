from __future__ import annotations

import pytest

from ml_platform.engine.written_function import function_in
from ml_platform.errors import DeclarationError

TEXT = "import math\n\n\ndef area(radius):\n    return math.pi * radius**2\n"


def test_a_function_is_made_from_its_text_with_what_it_imports() -> None:
    assert function_in(TEXT, "area", "area.py", "it is asked for")(2) == pytest.approx(12.566370614359172)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("area", "volume"), r"area\.py has no function area, but it is asked for"),
        ("area = 3", r"area\.py has no function area, but it is asked for"),
        ("1 / 0", r"area\.py ends with ZeroDivisionError \(division by zero\), but it is asked for"),
        ("def area(", r"area\.py ends with SyntaxError .*, but it is asked for"),
    ],
)
def test_a_text_without_the_function_is_refused(text: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        function_in(text, "area", "area.py", "it is asked for")
