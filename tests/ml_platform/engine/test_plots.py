from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from ml_platform.engine import plots

LABEL = np.array([0, 0, 1, 1, 0, 1])
SCORE = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
DRAWINGS = {
    "roc": lambda: plots.roc(LABEL, {"model": SCORE, "baseline": np.full(6, 0.5)}),
    "calibration": lambda: plots.calibration(LABEL, {"model": SCORE, "baseline": np.full(6, 0.5)}),
    "importance": lambda: plots.importance({"wind": 0.7, "hour": 0.3, "none": 0.0}),
    "drift": lambda: plots.drift_heatmap(["2013-11", "2013-12"], {"wind": [0.05, 0.6], "hour": [None, 0.1]}),
    "drift of nothing": lambda: plots.drift_heatmap(["2013-11"], {"wind": [None]}),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_plot_is_a_png_with_something_drawn(draw):
    image = matplotlib.image.imread(io.BytesIO(draw()), format="png")
    height, width = image.shape[:2]
    assert height > 150
    assert width > 300
    assert len(np.unique(image.reshape(height * width, -1), axis=0)) > 5


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_same_plot_is_the_same_bytes(draw):
    assert draw() == draw()


def test_long_feature_lists_are_cut_to_a_readable_plot():
    many = plots.importance({f"feature_{number}": 1 / 300 for number in range(300)})
    assert matplotlib.image.imread(io.BytesIO(many), format="png").shape[0] < 1200
