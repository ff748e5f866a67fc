"""An intent: what is about to be written, at which a plan stops whoever is about to.

A plan runs an asset's own function as a run does, so that what it says is what a run decides. The first write ends it:
everything that writes asks here before, in its own words or, at the latest, where files and commits are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from ml_platform.engine.recipe import READ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml_platform.engine.numbers import Numbers
    from ml_platform.records.table import TableSnapshot

Effect = Literal["create", "change"]
_PLANNING: ContextVar[bool] = ContextVar("planning", default=False)


class Intended(BaseException):
    """What a function was about to write. No Exception, so that nobody takes it for a failure and goes on.

    effect: whether it is new or takes the place of something. why: for people.
    """

    def __init__(self, effect: Effect, why: str) -> None:
        super().__init__(f"{effect}: {why}")
        self.effect: Effect = effect
        self.why = why


@contextmanager
def planning() -> Iterator[None]:
    """Whatever is called inside writes nothing: it is stopped by Intended before."""
    token = _PLANNING.set(True)
    try:
        yield
    finally:
        _PLANNING.reset(token)


def planned() -> bool:
    """Whether a plan is being made, in which nothing may be written."""
    return _PLANNING.get()


def about_to(effect: Effect, why: str) -> None:
    """Returns where things may be written; under a plan, raises Intended."""
    if _PLANNING.get():
        raise Intended(effect, why)


def about_to_make(
    before: TableSnapshot | None, kept: Numbers | None, inputs: Mapping[str, TableSnapshot], todo: Sequence[str]
) -> None:
    """The same of a table's partitions, by what has moved since its last commit.

    kept: the numbers of the table as it stands. inputs: as they are now. todo: the partitions to make.
    """
    if not _PLANNING.get():
        return
    if before is None or kept is None:
        raise Intended("create", "it is not there")
    seen = {key: kept.get(f"{READ}{key}") for key in inputs}
    moved = [
        f"{key} was read at version {version}, and stands at {inputs[key].version}"
        if version is not None
        else f"{key} was not read before"
        for key, version in seen.items()
        if version != inputs[key].version
    ]
    partitions = f"{', '.join(todo)}: " if any(todo) else ""
    raise Intended("change", partitions + ("; ".join(moved) or "its declaration or its code has changed"))
