from __future__ import annotations

import doctest
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from ml_platform.engine import counting
from ml_platform.engine.counting import count
from ml_platform.engine.distributions import MISSING, UNREADABLE, Bins
from ml_platform.engine.recipe import Fetch
from resources.embedded.compute import EmbeddedCompute

ROWS = "SELECT w AS __window, NULL AS __at, TRUE AS __mine, FALSE AS __failed, * FROM made.rows"


@pytest.fixture
def over(put: Callable[..., object], compute: EmbeddedCompute) -> Callable[..., Fetch]:
    """What asks queries over columns, which stand in a table."""

    def over(**columns: object) -> Fetch:
        snapshot = put("made/rows", pa.table(columns))
        return lambda query: compute.fetch(query, {"made.rows": snapshot})  # type: ignore[dict-item]

    return over


def test_worked_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(counting).failed == 0


def test_number_falls_into_the_bin_that_numpy_puts_it_in(over: Callable[..., Fetch]) -> None:
    draw = np.random.default_rng(11)
    cuts = np.sort(draw.normal(size=40))
    # values on a cut, and to either side of it by one place of a float, must not move
    values = np.concatenate(
        [draw.normal(size=500), cuts, np.nextafter(cuts, 9), np.nextafter(cuts, -9), [1e300, -1e300]]
    )
    bins = Bins("number", tuple(cuts.tolist()))
    (window,) = count(ROWS, {"x": bins}, 9, over(w=["a"] * len(values), x=values))
    expected = np.bincount(np.searchsorted(cuts, values, side="left"), minlength=41)
    assert dict(window.counts["x"].by_bin) == {place: n for place, n in enumerate(expected.tolist()) if n}


def test_what_is_missing_and_what_is_no_number_are_told_apart(over: Callable[..., Fetch]) -> None:
    bins = {"x": Bins("number", (1.0,)), "y": Bins("number", (1.0,))}
    fetch = over(w=["a"] * 4, x=pa.array([0.5, None, float("nan"), 2.0]), y=["0.5", None, "many", "2"])
    (window,) = count(ROWS, bins, 9, fetch)
    assert window.counts["x"].by_bin == {0: 1, 1: 1, MISSING: 2}
    assert window.counts["y"].by_bin == {0: 1, 1: 1, MISSING: 1, UNREADABLE: 1}


def test_categories_are_counted_by_window_and_the_latest_windows_are_kept(over: Callable[..., Fetch]) -> None:
    fetch = over(w=["a", "b", "b", "c"], x=["UA", "UA", None, 'D"L'])
    windows = count(ROWS, {"x": Bins("category")}, 2, fetch)
    assert [window.name for window in windows] == ["b", "c"]
    assert [window.counts["x"].by_bin for window in windows] == [{"UA": 1, MISSING: 1}, {'D"L': 1}]


def test_rarest_of_very_many_categories_go_by_one_name(
    over: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MOST_VALUES", 2)
    (window,) = count(ROWS, {"x": Bins("category")}, 9, over(w=["a"] * 6, x=["p", "p", "q", "q", "r", "s"]))
    assert window.counts["x"].by_bin == {"p": 2, "q": 2, "(rarer values)": 2}


def test_no_row_is_no_window(over: Callable[..., Fetch]) -> None:
    assert (
        count(ROWS, {"x": Bins("number", (1.0,))}, 9, over(w=pa.array([], pa.string()), x=pa.array([], pa.float64())))
        == []
    )
