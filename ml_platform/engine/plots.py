"""The plots of models, drawn off screen as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ml_platform.engine import metrics

_DOTS_PER_INCH = 110
_MOST_FEATURES = 30
_MOST_CLASSES = 10
_MOST_SLICES = 60
_MOST_DOTS = 5_000
_FEW_STEPS = 12


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


def precision_recall(label: ArrayLike, scores: Mapping[str, ArrayLike]) -> bytes:
    """Precision over recall of every model named in `scores`, its average in the legend."""
    figure, axes = _canvas(5.4, 5.0)
    for name, score in scores.items():
        recall, precision = metrics.precision_recall_curve(label, score)
        average = metrics.average_precision(label, score)
        axes.plot(recall, precision, drawstyle="steps-pre", label=f"{name}, average {average:.3f}")
    share = float(np.mean(np.asarray(label)))
    axes.axhline(share, color="0.6", linestyle=":", linewidth=1, label="chance")
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="best")
    return _png(figure)


def classes(kind: str, label: NDArray[np.float64], score: NDArray[np.float64], names: Sequence[str]) -> bytes:
    """The `roc` or `precision_recall` of each class against all others; the ten most frequent that are there.

    label: the place of each row's class. score: a column a class.
    """
    rows = np.bincount(label.astype(np.int64), minlength=len(names))
    leading = [place for place in np.argsort(-rows, kind="stable")[:_MOST_CLASSES] if 0 < rows[place] < len(label)]
    figure, axes = _canvas(5.4, 5.0)
    for place in leading:
        of_class, said = label == place, score[:, place]
        if kind == "roc":
            across, up = metrics.roc_curve(of_class, said)
            told = f"{names[place]}, area {metrics.roc_auc(of_class, said):.3f}"
        else:
            across, up = metrics.precision_recall_curve(of_class, said)
            told = f"{names[place]}, average {metrics.average_precision(of_class, said):.3f}"
        axes.plot(across, up, label=told)
    words = {"roc": ("ROC", "false positive rate", "true positive rate")}
    title, across_word, up_word = words.get(kind, ("Precision and recall", "recall", "precision"))
    axes.set(title=f"{title} of each class", xlabel=across_word, ylabel=up_word, xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="best")
    return _png(figure)


def confusion(table: NDArray[np.int64], names: Sequence[str]) -> bytes:
    """Rows by class (down) and by what they are taken for (across), shaded by the share of each class."""
    size = 2.6 + 0.55 * len(names)
    figure, axes = _canvas(size + 1.2, size)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(title="Confusion", xlabel="taken for", ylabel="is")
    for row, column in np.ndindex(*table.shape) if len(names) <= _MOST_FEATURES else ():
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(image, ax=axes, label="share of the class")
    return _png(figure)


def residuals(label: NDArray[np.float64], score: NDArray[np.float64]) -> bytes:
    """What was predicted against what happened, and how the differences are distributed."""
    figure, (left, right) = _canvases(9.6, 4.6)
    # Of many rows, some: a picture does not tell more of them apart.
    kept = np.linspace(0, len(label) - 1, min(len(label), _MOST_DOTS)).astype(np.int64)
    left.scatter(score[kept], label[kept], s=6, alpha=0.4, linewidths=0)
    ends = [float(min(score.min(), label.min())), float(max(score.max(), label.max()))]
    left.plot(ends, ends, color="0.6", linestyle=":", linewidth=1)
    left.set(title="Predicted and actual", xlabel="predicted", ylabel="actual")
    right.hist(label - score, bins=60)
    right.axvline(0, color="0.6", linestyle=":", linewidth=1)
    right.set(title="Residuals", xlabel="actual less predicted", ylabel="rows")
    return _png(figure)


def learning_curve(unit: str, steps: Sequence[int], train: Sequence[float], validate: Sequence[float]) -> bytes:
    """The loss on train and validate by `unit`, for instance round; the lowest on validate is marked."""
    figure, axes = _canvas(6.4, 4.4)
    dots = "o" if len(steps) < _FEW_STEPS else ""
    axes.plot(steps, train, marker=dots, label="train")
    axes.plot(steps, validate, marker=dots, label="validate")
    best = int(np.argmin(validate))
    axes.axvline(steps[best], color="0.6", linestyle=":", linewidth=1, label=f"lowest at {steps[best]:,}")
    axes.set(title="Learning curve", xlabel=unit, ylabel="loss")
    axes.legend(loc="best")
    return _png(figure)


def permutation(risen: Mapping[str, float]) -> bytes:
    """A bar a feature, the most important on top; at most 30. risen: feature → rise of the loss."""
    leading = sorted(risen.items(), key=lambda item: item[1], reverse=True)[:_MOST_FEATURES][::-1]
    figure, axes = _canvas(6.4, 1.4 + 0.24 * len(leading))
    axes.barh([name for name, _ in leading], [rise for _, rise in leading])
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set(title="Permutation importance", xlabel="rise of the loss on the test split")
    return _png(figure)


def slices(metric: str, rows: Sequence[Mapping[str, Any]], overall: float) -> bytes:
    """The metric of each slice that has one, and of all rows as a line; at most 60 slices."""
    told = [row for row in rows if row.get(metric) is not None][:_MOST_SLICES][::-1]
    figure, axes = _canvas(6.4, 1.4 + 0.22 * max(len(told), 1))
    axes.barh([f"{row['column']}: {row['value']} ({row['rows']:,})" for row in told], [row[metric] for row in told])
    axes.axvline(overall, color="0.3", linestyle=":", linewidth=1)
    axes.set(title="Slices", xlabel=f"{metric} on the test split; all rows {overall:.4g}")
    axes.tick_params(axis="y", labelsize=8)
    return _png(figure)


def search(metric: str, values: Sequence[float | None], *, higher: bool) -> bytes:
    """The metric on validate of every trial in order, and the best so far; one that was given up has none."""
    figure, axes = _canvas(6.4, 4.4)
    tried = [(number, value) for number, value in enumerate(values, 1) if value is not None]
    numbers, found = [number for number, _ in tried], np.array([value for _, value in tried])
    best = np.maximum.accumulate(found) if higher else np.minimum.accumulate(found)
    axes.scatter(numbers, found, s=14, label="trial")
    axes.plot(numbers, best, drawstyle="steps-post", label="best so far")
    axes.set(title="Search", xlabel="trial", ylabel=f"{metric} on the validate split")
    axes.legend(loc="best")
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


def _canvas(width: float, height: float) -> tuple[Figure, Any]:
    # A figure of its own, not pyplot's: nothing global, so any thread may draw.
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _canvases(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, 2)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name and version the same figure is the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
