"""Measuring alike: several models' scores of the same rows, held against the same labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ml_platform.engine.evaluation import aligned, classes_in, evaluate, places_in
from ml_platform.engine.package import ModelCard


def measured_alike(cards: Mapping[str, ModelCard], scores: pa.Table, label: str) -> dict[str, dict[str, float]]:
    """Version → metric → value, by all metrics of their one task.

    Classes are those of the rows and of all models: one that a model does not know has probability 0 there.
    cards: version number → what it says of itself. scores: as the job `score` writes them, with the label kept.
    """
    task = next(iter(cards.values())).task
    if task != "multiclass":
        truth = scores[label].to_numpy().astype(np.float64)
        return {number: evaluate(task, truth, scores[f"score_{number}"].to_numpy()) for number in cards}
    values = scores[label].to_pylist()
    every = classes_in([*values, *(name for card in cards.values() for name in card.classes)])
    places = places_in(values, every)
    return {
        number: evaluate(task, places, aligned(_wide(scores[f"score_{number}"], card), card.classes, every))
        for number, card in cards.items()
    }


def _wide(column: pa.ChunkedArray, card: ModelCard) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float64).reshape(-1, len(card.classes))
