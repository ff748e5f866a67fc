"""The style of promotion between environments as it is declared with a model."""

from __future__ import annotations

from typing import Literal, Self

import dagster as dg
from pydantic import Field, model_validator

from ml_platform.binding import environment


class Promotion(dg.Resolvable, dg.Model):
    """What goes from one environment to the next: the code, or the fitted model itself."""

    style: Literal["code", "artefact"] = Field(
        default="code",
        description="code: every environment fits the model anew, on its own data. artefact: where `from` says so, the "
        "candidate is another environment's champion, byte for byte.",
    )
    from_: dict[str, str] = Field(
        default={},
        alias="from",
        description="For artefact, environment → the one whose champion it takes; every other fits by itself.",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.style == "artefact") != bool(self.from_):
            raise ValueError("style artefact says from: {prod: staging} or the like, and style code does not")
        for target in self.from_:
            seen = [target]
            while (source := self.from_.get(seen[-1])) is not None:
                if source in seen:
                    raise ValueError(f"{target} would take from itself, by {' from '.join([*seen, source])}")
                seen.append(source)
        return self

    def source(self) -> str | None:
        """The environment whose champion is the candidate in the one in force; None where that fits by itself."""
        return self.from_.get(environment())
