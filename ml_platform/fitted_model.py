"""A model version out of the registry, for whoever wants to ask it without a server."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    from ml_platform.engine.package import ModelCard
    from ml_platform.engine.scorer import Scorer

PREDICTION = "prediction"


class FittedModel:
    """One immutable version. version: with its digest, its evidence and its aliases as they stood."""

    def __init__(self, version: ModelVersion, registry: ModelRegistry) -> None:
        self.version = version
        self._registry = registry

    @property
    def card(self) -> ModelCard:
        """What the version says of itself: features, parameters, rows, library versions."""
        return self._scorer.card

    def predict(self, frame: Any) -> Any:
        """The model's answer for each row, as a column of the frame's library, in its order.

        Of more than two classes it is a frame, with the probability of each in a column of its name.
        frame: pandas, Polars or Arrow, with a column for every feature; others are left alone.
        Raises PlatformError naming the feature that is absent or not of its type.
        """
        import pyarrow as pa

        from ml_platform.engine import frames
        from ml_platform.jobs.tables import as_columns

        table = frames.arrow(frame)
        given = {feature.name: feature.type for feature in self._scorer.features if feature.name in table.column_names}
        answers = self._scorer.predict(as_columns(table, given))
        if answers.ndim > 1:
            return frames.like(frame, pa.table(dict(zip(self.card.classes, answers.T, strict=True))))
        return frames.like(frame, pa.table({PREDICTION: answers}))[PREDICTION]

    @cached_property
    def _scorer(self) -> Scorer:
        from ml_platform.engine.scorer import Scorer

        with TemporaryDirectory() as folder:
            package = self._registry.fetch(self.version.name, self.version.number, Path(folder) / "package")
            return Scorer.load(package)

    def __repr__(self) -> str:
        """Its name and number, and what points at it."""
        aliases = "".join(f", {alias}" for alias in self.version.aliases)
        return f"{self.version.name} version {self.version.number}{aliases}"
