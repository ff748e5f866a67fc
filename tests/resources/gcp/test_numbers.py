from __future__ import annotations

from resources.gcp.numbers import whole


def test_whole_numbers_are_integers_and_nothing_else_changes() -> None:
    given = {"shape": [2.0], "deep": [{"data": [0.5, 1e300, -3.0]}], "name": "2.0", "flag": True, "none": None}
    found = whole(given)
    assert found == given
    assert [type(value) for value in (found["shape"][0], found["deep"][0]["data"][2], found["flag"])] == [
        int,
        int,
        bool,
    ]
