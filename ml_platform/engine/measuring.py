"""Measuring alike: several models' scores of the same rows, held against the same labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from ml_platform.engine.bootstrap import enough, interval
from ml_platform.engine.calibration_line import calibration_line
from ml_platform.engine.evaluation import Numbers, aligned, classes_in, evaluate, places_in
from ml_platform.engine.gate import Asked
from ml_platform.engine.package import ModelCard
from ml_platform.engine.resampled import improvement
from ml_platform.engine.worst_slices import Sought, worst_slices
from ml_platform.records.gate import Measured, SliceFindings
from ml_platform.records.metric import Task


@dataclass(frozen=True)
class Scored:
    """The rows of one snapshot, and what each model says of them.

    cards: version → what it says of itself, all of one task. table: as the job `score` writes it, with the label and
    the columns of slices kept. besides: version → name → value of what else is known of it, whatever it says of rows.
    """

    cards: Mapping[str, ModelCard]
    table: pa.Table
    label: str
    besides: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What all of them answer."""
        return next(iter(self.cards.values())).task

    @cached_property
    def truth(self) -> Numbers:
        """The labels as numbers; of classes their places among those of the rows and of all models."""
        if self.task != "multiclass":
            return np.asarray(self.table[self.label].to_numpy(), dtype=np.float64)
        return places_in(self.table[self.label].to_pylist(), self._classes)

    def of(self, version: str) -> Numbers:
        """What a version says; a class that it does not know has probability 0."""
        column, card = self.table[f"score_{version}"], self.cards[version]
        if self.task != "multiclass":
            return np.asarray(column.to_numpy(), dtype=np.float64)
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        wide = np.asarray(flat, dtype=np.float64).reshape(-1, len(card.classes))
        return aligned(wide, card.classes, self._classes)

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        known = (name for card in self.cards.values() for name in card.classes)
        return classes_in([*self.table[self.label].to_pylist(), *known])


def measured(scored: Scored, asked: Asked, candidate: str, champion: str | None) -> Measured:
    """What a gate decides by, as far as rows tell it; no row tells nothing.

    candidate, champion: versions; no champion, no improvement.
    """
    if not len(scored.truth):
        return Measured({}, {} if champion else None)
    ours = scored.of(candidate)
    found = Measured(_metrics(scored, candidate), slices=_slices(scored, ours, asked))
    if champion is None:
        return found
    theirs = scored.of(champion)
    better = interval(
        improvement(scored.task, asked.metric, scored.truth, ours, theirs),
        len(scored.truth),
        confidence=asked.confidence,
        resamples=enough(asked.confidence, asked.resamples),
        seed=asked.seed,
    )
    return Measured(found.candidate, _metrics(scored, champion), better, found.slices)


def _metrics(scored: Scored, version: str) -> dict[str, float]:
    score = scored.of(version)
    return {
        **evaluate(scored.task, scored.truth, score),
        **calibration_line(scored.task, scored.truth, score),
        **scored.besides.get(version, {}),
    }


def _slices(scored: Scored, score: Numbers, asked: Asked) -> SliceFindings | None:
    if not asked.slices:
        return None
    columns = {name: scored.table[name] for name in asked.slices}
    sought = Sought(asked.slice_metric, asked.slice_min_rows, asked.confidence, asked.resamples, asked.seed)
    return worst_slices(scored.task, columns, scored.truth, score, sought)
