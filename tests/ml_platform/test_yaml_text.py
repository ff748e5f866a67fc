from __future__ import annotations

import pytest

from ml_platform.yaml_text import excess, said_twice

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


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a: 1\nb: 2\na: 3\n", "3: a"),
        ("a: {b: 1, c: 2, b: 3}\n", "1: b"),
        ("a:\n  - {x: 1}\n  - x: 1\n    x: 2\n", "4: x"),
        ("'a': 1\n\"a\" : 2\n", "2: a"),
        ("a: 1\n---\nb: 1\nb: 1\n", "4: b"),
        ("a : 1\na:\n", "2: a"),
        ("a: {x: 1}\nb: {x: 1}\n", ""),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n", ""),
        ("a: 1\n---\na: 1\n", ""),
        ("- {min: 1}\n- {min: 2}\n", ""),
        ("a: 'x: 1, x: 2'\n", ""),
        ("a: [1\na: 2", ""),
        ("", ""),
    ],
)
def test_what_is_said_twice_is_found_where_it_is_said_again(text: str, again: str) -> None:
    assert said_twice(text) == (f"{again} is said twice, but one of the two would be lost" if again else "")
