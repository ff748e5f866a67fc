from __future__ import annotations

import time
from typing import Any

from ml_platform.engine import beside, delta
from ml_platform.engine.maintenance import maintain
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.restore import restore
from ml_platform.engine.tables import make
from ml_platform.engine.vacuum import sweep
from ml_platform.records.upkeep import Pin, Upkeep
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

RECIPE = Recipe(
    "silver/x",
    ("bronze/x",),
    Shape(key=("id",), write="merge", newest="at", delete_when="gone"),
    "1",
    "SELECT * FROM bronze.x",
)
DAY_SECONDS = 24 * 3600


def test_versions_beside_are_held_for_those_that_name_them(
    put: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    # given a table of which each version has a delete marker more, and markers that were compacted since
    location, aside = lakehouse.table("silver/x"), lakehouse.table("silver/x__deleted")
    for at in range(3):
        put("bronze/x", {"id": [at, 9], "at": [at, 0], "gone": [True, False]})
        make(RECIPE, [""], [""], lakehouse, compute)
    assert [delta.transaction(location, beside.named("__deleted"), version) for version in range(3)] == [0, 1, 2]
    maintain(Upkeep(aside.key, 30), lakehouse, compute, [])
    # when the markers are swept long after, but for what versions from the second on name
    held = beside.held(location, 1, aside.key, "__deleted")
    assert held == [Pin("silver/x", 1, "", aside.key, 1), Pin("silver/x", 2, "", aside.key, 2)]
    swept = sweep(aside, 0, held, time.time() + 30 * DAY_SECONDS)
    # then those versions can be gone back to with their markers
    assert swept.pinned == {1: ("silver/x version 1",), 2: ("silver/x version 2",)}
    assert restore("silver/x", 1, "the last was wrong", lakehouse).beside == {aside.key: 1}
    assert sorted(delta.read_rows(delta.existing(aside))["id"].to_pylist()) == [0, 1]


def test_numbers_go_by_the_suffix() -> None:
    assert beside.numbers({"__quarantine": 4}) == {"beside:__quarantine": 4}
