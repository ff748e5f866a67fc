from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from resources.databricks.tags import packed, unpacked


@pytest.mark.parametrize("length", [0, 1000, 1001, 2000, 54_321])
def test_a_text_of_any_length_comes_back(length: int) -> None:
    tags = {"gate": "é" * length, "asset": "models/late"}
    held = packed(tags)
    assert max(len(value) for value in held.values()) <= 1000
    assert unpacked(held) == tags


def test_the_tag_that_names_its_parts_is_set_after_them() -> None:
    assert list(packed({"gate": "x" * 1500}))[-1] == "gate"


def test_parts_of_a_text_that_was_replaced_are_left_out() -> None:
    held = {**packed({"gate": "x" * 1500}), **packed({"gate": "y" * 1500})}
    assert unpacked(held) == {"gate": "y" * 1500}


def test_a_text_that_looks_like_what_names_parts_is_kept() -> None:
    tags = {"gate": "parts 0123456789abcdef 2"}
    assert unpacked(packed(tags)) == tags


def test_a_key_that_the_catalog_does_not_take_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"the tag 'a\.b' is given"):
        packed({"a.b": "1"})
