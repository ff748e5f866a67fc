from __future__ import annotations

import doctest
from xml.etree import ElementTree

import pytest

from ml_platform.engine import drawings
from ml_platform.engine.drawings import Point, heatmap, histogram, trend

DRAWINGS = {
    "histogram": histogram([0.2, 0.8], [0.5, 0.5], ["low", "<high> & more"], "wind in 2013-12"),
    "histogram without a baseline": histogram(None, [1.0], ["any"], "wind"),
    "histogram of nothing": histogram(None, [], [], "wind"),
    "trend": trend([Point("2013-11", 0.1), Point("2013-12", 0.4, "drifted", 0.3, 0.5)], 0.25, "index"),
    "trend with a hole": trend([Point("1", 1.0), Point("2", None, "not enough data"), Point("3", 1.0)], None, "rows"),
    "trend of nothing": trend([], None, "nothing"),
    "heatmap": heatmap(["2013-11", "2013-12"], {"wind": [0.05, 0.9], '"hour"': [None, 0.1]}, "index"),
    "heatmap of nothing": heatmap([], {}, "index"),
}


def test_worked_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(drawings).failed == 0


@pytest.mark.parametrize("drawn", DRAWINGS.values(), ids=DRAWINGS)
def test_drawing_is_well_formed_and_said_for_who_cannot_see_it(drawn: str) -> None:
    assert ElementTree.fromstring(drawn).attrib["aria-label"]  # noqa: S314 # of our own making
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_bars_are_as_high_as_their_shares() -> None:
    root = ElementTree.fromstring(histogram([0.25, 0.75], [0.5, 0.5], ["a", "b"], "wind"))  # noqa: S314
    heights = [float(bar.attrib["height"]) for bar in root.iter("rect")]
    # in either bin the baseline, then the window
    assert heights[0] / heights[2] == pytest.approx(1 / 3, abs=0.01)
    assert heights[1] == heights[3] == pytest.approx(heights[2] * 2 / 3, abs=0.1)


def test_dot_has_the_colour_of_its_state_and_is_hollow_without_enough_data() -> None:
    root = ElementTree.fromstring(  # noqa: S314
        trend([Point("1", 1.0, "drifted"), Point("2", 2.0, "not enough data")], None, "index")
    )
    first, second = root.iter("circle")
    assert first.attrib["fill"] == drawings.COLOURS["drifted"]
    assert second.attrib["fill"] == "#fff"
