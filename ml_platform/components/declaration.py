"""A declaration: what every word that one may write in `assets/` has in common."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import BaseModel


class Declaration(dg.Component, dg.Resolvable, dg.Model):
    """A component whose fields are what stands in its YAML."""

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component. Every text stays as it is written; dagster would compile and evaluate each as a template."""
        return cls.model_validate(
            {} if attributes is None else attributes.model_dump(exclude_unset=True, by_alias=True)
        )
