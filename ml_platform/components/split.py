"""The split of a training set, as it is declared: by time, with gaps, or by a hash of columns."""

from __future__ import annotations

from typing import Literal, Self

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.records.split import NAMES, HashSplit, TimeSplit


class DeclaredSplit(dg.Resolvable, dg.Model):
    """Which events are fitted on, tuned on and tested on."""

    by: str | None = Field(
        default=None, description="The column that the ranges are of: a timestamp, or a text that sorts in time."
    )
    train: tuple[str, str] | None = Field(default=None, description="First and last value of what is fitted on.")
    validate_: tuple[str, str] | None = Field(
        default=None, alias="validate", description="First and last value of what the fit is tuned on."
    )
    test: tuple[str, str] | None = Field(default=None, description="First and last value of what the fit never sees.")
    gap_hours: float = Field(
        default=0, ge=0, description="Events that come so little before the first of a later range are left out."
    )
    by_hash_of: list[str] = Field(
        default=[],
        description="Instead of ranges, the columns whose values are divided by a hash: those of an entity keep its "
        "events together, those of the event divide the events.",
    )
    shares: dict[Literal["train", "validate", "test"], float] = Field(
        default={}, description="For a hash, the share of each of the three, 1 together."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ranges = [self.train, self.validate_, self.test]
        if self.by_hash_of:
            if self.by or any(ranges) or self.gap_hours:
                raise ValueError("a split by a hash has shares, and neither ranges nor a gap")
            if sorted(self.shares) != sorted(NAMES) or min(self.shares.values()) <= 0:
                raise ValueError(f"shares are of {', '.join(NAMES)}, each above 0")
            if abs(sum(self.shares.values()) - 1) > 1e-9:
                raise ValueError("the shares do not sum to 1")
        elif not (self.by and all(ranges)) or self.shares:
            raise ValueError(f"a split has by with ranges of {', '.join(NAMES)}, or by_hash_of with shares")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the events that it goes by."""
        return tuple(self.by_hash_of) or (str(self.by),)

    @property
    def record(self) -> TimeSplit | HashSplit:
        """The split as the engine takes it."""
        if self.by_hash_of:
            return HashSplit(tuple(self.by_hash_of), {name: self.shares[name] for name in NAMES})  # type: ignore[index]
        ranges = zip(NAMES, (self.train, self.validate_, self.test), strict=True)
        return TimeSplit(str(self.by), {name: it for name, it in ranges if it is not None}, self.gap_hours)
