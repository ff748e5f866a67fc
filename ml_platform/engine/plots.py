"""The plots of models and monitors, drawn off screen as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ml_platform.engine import metrics

_DOTS_PER_INCH = 110
_MOST_FEATURES = 30


def roc(label: ArrayLike, scores: Mapping[str, ArrayLike]) -> bytes:
    """The receiver operating characteristic of every model named in `scores`, its area in the legend."""
    figure, axes = _canvas(5.4, 5.0)
    for name, score in scores.items():
        false_positive, true_positive = metrics.roc_curve(label, score)
        axes.plot(false_positive, true_positive, label=f"{name}, area {metrics.roc_auc(label, score):.3f}")
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1, label="chance")
    axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right")
    return _png(figure)


def calibration(label: ArrayLike, scores: Mapping[str, ArrayLike]) -> bytes:
    """What was promised against what happened, in ten bins, for every model named in `scores`; dots grow with rows."""
    figure, axes = _canvas(5.4, 5.0)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1, label="perfect")
    for name, score in scores.items():
        promised, happened, rows = metrics.calibration(label, score)
        error = metrics.expected_calibration_error(label, score)
        (line,) = axes.plot(promised, happened, linewidth=1, label=f"{name}, error {error:.3f}")
        axes.scatter(promised, happened, s=12 + 160 * rows / rows.sum(), color=line.get_color())
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share", aspect="equal")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    return _png(figure)


def importance(shares: Mapping[str, float]) -> bytes:
    """A bar a feature, the most important on top; at most 30.

    shares: feature → share in 0–1.
    """
    leading = sorted(shares.items(), key=lambda item: item[1], reverse=True)[:_MOST_FEATURES][::-1]
    figure, axes = _canvas(6.4, 1.4 + 0.24 * len(leading))
    bars = axes.barh([name for name, _ in leading], [share for _, share in leading])
    axes.bar_label(bars, fmt="{:.1%}", padding=3, fontsize=8)
    axes.set(title="Feature importance", xlabel="share of what the model draws on")
    axes.margins(x=0.12)
    return _png(figure)


def drift_heatmap(windows: Sequence[str], psi: Mapping[str, Sequence[float | None]]) -> bytes:
    """The population stability index, a row a feature and a column a window; colours saturate at 0.5.

    windows: their names, in order. psi: feature → its index per window, None where there is none.
    """
    values = np.array([[np.nan if cell is None else cell for cell in row] for row in psi.values()], dtype=np.float64)
    values = values.reshape(len(psi), len(windows))
    figure, axes = _canvas(5.5 + 0.75 * len(windows), 1.6 + 0.3 * len(psi))
    image = axes.imshow(np.ma.masked_invalid(values), cmap="YlOrRd", vmin=0.0, vmax=0.5, aspect="auto")
    axes.set_xticks(range(len(windows)), windows, rotation=45, ha="right")
    axes.set_yticks(range(len(psi)), list(psi))
    axes.set(title="Drift from the training set", xlabel="window", ylabel="feature")
    for row, column in np.argwhere(~np.isnan(values)):
        cell = values[row, column]
        ink = "white" if cell > 0.3 else "black"
        axes.text(column, row, f"{cell:.2f}", ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, label="population stability index", extend="max")
    return _png(figure)


def _canvas(width: float, height: float) -> tuple[Figure, Any]:
    # A figure of its own, not pyplot's: nothing global, so any thread may draw.
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name and version the same figure is the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
