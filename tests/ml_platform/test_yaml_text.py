from __future__ import annotations

import pytest

from ml_platform.yaml_text import excess

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {b: [1, 2], c: text}\n",
        "common: &common {cpu: 2, memory_gib: 4}\nfit: *common\nscore: *common\n",
        "a: 'R&D * 2'\n",
        "a: [1, 2",  # whoever reads it says so
        "- 1\n" * 400,
    ],
)
def test_what_people_write_is_read(text: str) -> None:
    assert excess(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "more than 20,000 values once its aliases are followed"),
        ("a: &a [1, *a]\n", "more than 20,000 values"),
        ("[" * 100_000, "nested more than 50 levels deep"),
        ("- " * 100_000, "nested more than 50 levels deep"),
        ("a: " + "x" * 2**20, "longer than 1,048,576 characters"),
    ],
    ids=["a billion laughs", "itself", "brackets", "dashes", "length"],
)
def test_what_nobody_writes_is_refused(text: str, why: str) -> None:
    assert why in excess(text)
