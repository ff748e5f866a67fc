from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

from ml_platform.engine import plots

LABEL = np.array([0, 0, 1, 1, 0, 1])
SCORE = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
KIND = np.array([0.0, 1.0, 2.0, 1.0, 0.0, 2.0])
SHARES = np.array(
    [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.4, 0.3, 0.3], [0.5, 0.2, 0.3], [0.3, 0.4, 0.3]]
)
DRAWINGS = {
    "roc": lambda: plots.roc(LABEL, {"model": SCORE, "baseline": np.full(6, 0.5)}),
    "calibration": lambda: plots.calibration(LABEL, {"model": SCORE, "baseline": np.full(6, 0.5)}),
    "precision and recall": lambda: plots.precision_recall(LABEL, {"model": SCORE}),
    "roc of classes": lambda: plots.classes("roc", KIND, SHARES, ["a", "b", "c"]),
    "precision and recall of classes": lambda: plots.classes("precision_recall", KIND, SHARES, ["a", "b", "c"]),
    "confusion": lambda: plots.confusion(np.array([[5, 1], [0, 7]]), ["no", "yes"]),
    "residuals": lambda: plots.residuals(SCORE * 10, SCORE * 9 + 1),
    "learning curve": lambda: plots.learning_curve("round", [1, 2, 3], [0.6, 0.5, 0.4], [0.6, 0.55, 0.58]),
    "permutation": lambda: plots.permutation({"wind": 0.2, "hour": -0.001}),
    "slices": lambda: plots.slices("log_loss", [{"column": "by", "value": "a", "rows": 9, "log_loss": 0.4}], 0.5),
    "slices without one that is told": lambda: plots.slices(
        "log_loss", [{"column": "by", "value": "a", "rows": 1}], 0.5
    ),
    "search": lambda: plots.search("log_loss", [0.5, None, 0.4, 0.45], higher=False),
    "importance": lambda: plots.importance({"wind": 0.7, "hour": 0.3, "none": 0.0}),
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
