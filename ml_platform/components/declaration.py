"""A declaration: what every word that one may write in `assets/` has in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import dagster as dg
from pydantic import BaseModel

_TEMPLATE = ("{{", "{%", "{#")


class Declaration(dg.Component, dg.Resolvable, dg.Model):
    """A component whose fields are what stands in its YAML."""

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component. A text that is no template stays as it is written; dagster would compile each as one."""
        written = {} if attributes is None else attributes.model_dump(exclude_unset=True, by_alias=True)
        if any(mark in text for text in _texts(written) for mark in _TEMPLATE):
            return super().load(attributes, context)
        return cls.model_validate(written)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
