"""What became of one drill, and the drill itself: a fault that is injected, and what is known after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_platform.testing.drill.world import World


@dataclass(frozen=True)
class Outcome:
    """What was seen.

    guard: who was to notice. fired: whether it did. where: where a person sees it in the UI. said: what it says there.
    kept: what was not to be lost → whether it is still so.
    """

    guard: str
    fired: bool
    where: str
    said: str
    kept: Mapping[str, bool]

    @property
    def lost(self) -> list[str]:
        """What is no longer so."""
        return [claim for claim, holds in self.kept.items() if not holds]

    @property
    def verdict(self) -> str:
        """SILENT where the guard was, LOST where something is, else fired."""
        return "fired" if self.fired and not self.lost else "LOST" if self.fired else "SILENT"


@dataclass(frozen=True)
class Drill:
    """A fault. name: for people. injected: what is done to the platform. inject: does it, and looks."""

    name: str
    injected: str
    inject: Callable[[World], Outcome]


def stumbled(error: BaseException) -> Outcome:
    """A drill that could not be ended has shown nothing, so its guard counts as silent."""
    text = " ".join(str(error).split())[:300]
    return Outcome("none", False, "nowhere", f"the drill ended in {type(error).__name__}: {text}", {})
