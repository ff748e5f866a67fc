from __future__ import annotations

import pytest

from ml_platform.engine.lineage import Columns, lineage
from ml_platform.engine.sql import parsed

KNOWN = {"s/x": Columns(dict.fromkeys(("id", "g", "a", "b"), ()))}


def origins(query: str) -> dict[str, str]:
    """Column → the columns of s/x that it is made from."""
    found = lineage(parsed(query, "silver/a.sql"), KNOWN, "silver/a.sql").origins
    return {name: " ".join(column for _, column in made) for name, made in found.items()}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM (SELECT id, g, a FROM s.x) PIVOT (sum(a) FOR g IN ('p', 'q'))",
        "SELECT id, p, q FROM (PIVOT s.x ON g IN ('p', 'q') USING sum(a) GROUP BY id)",
        "WITH w AS (PIVOT (SELECT id, g, a FROM s.x) ON g USING sum(a)) SELECT id, p, q FROM w",
    ],
)
def test_columns_of_a_pivot_are_made_of_what_is_added_up_and_of_what_names_them(query: str) -> None:
    assert origins(query) == {"id": "id", "p": "a g", "q": "a g"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM s.x UNPIVOT (v FOR n IN (a, b AS c))",
        "SELECT * FROM (UNPIVOT s.x ON a, b INTO NAME n VALUE v)",
    ],
)
def test_values_of_an_unpivot_are_of_each_of_its_columns_and_their_names_of_none(query: str) -> None:
    assert origins(query) == {"id": "id", "g": "g", "n": "", "v": "a b"}


def test_each_of_several_values_is_of_the_columns_at_its_place() -> None:
    found = origins("SELECT * FROM s.x UNPIVOT ((v, w) FOR n IN ((a, b), (id, g)))")
    assert found == {"n": "", "v": "a id", "w": "b g"}


def test_columns_that_a_pattern_means_may_be_any() -> None:
    assert origins("SELECT * FROM (UNPIVOT s.x ON COLUMNS('[ab]'))") == {"name": "", "value": "a b g id"}
