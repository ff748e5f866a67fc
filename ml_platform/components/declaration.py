"""A declaration: what every word that one may write in `assets/` has in common."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel

from ml_platform.components.lines import line_of
from ml_platform.errors import DeclarationError


class Declaration(dg.Component, dg.Resolvable, dg.Model):
    """A component whose fields are what stands in its YAML."""

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component. Every text stays as it is written; dagster would compile and evaluate each as a template.

        Raises DeclarationError, by file and line, for a number that is not finite: as a bound, it would hold nothing.
        """
        made = cls.model_validate(
            {} if attributes is None else attributes.model_dump(exclude_unset=True, by_alias=True)
        )
        for path, value in _endless(made.model_dump()):
            raise DeclarationError(
                f"{line_of(context, *path)}: {'.'.join(map(str, path))} is {value}, but a number has to be finite",
                remedy="Leave it out where there is to be no bound and it may be left out",
            )
        return made


def _endless(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """The numbers of a declaration that are not finite, each with where it stands."""
    if isinstance(part, float):
        if not math.isfinite(part):
            yield path, part
    elif isinstance(part, (dict, list, tuple)):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _endless(value, (*path, key))
