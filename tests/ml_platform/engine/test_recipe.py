from __future__ import annotations

import dataclasses

import pytest

from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe


def test_a_recipe_is_made_from_its_own_partition_alone_unless_it_says_otherwise() -> None:
    recipe = Recipe(key="silver/flights", inputs=("bronze/flights",), shape=Shape(), code="1")
    assert (recipe.reads, recipe.where, recipe.query, recipe.transform) == ((0, 0), {}, None, None)


def test_a_recipe_does_not_change() -> None:
    recipe = Recipe(key="silver/flights", inputs=(), shape=Shape(), code="1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.code = "2"  # type: ignore[misc]
