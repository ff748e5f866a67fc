"""Python's collection of garbage, held off while what is made stays."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is looked for meanwhile: what a load makes stays, and to walk it again and again takes a seventh."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@cache
def keep_modules() -> None:
    """What was imported by now is not walked again, for it stays as long as the process; done once for a process.

    At the exit it is walked, so that what libraries hold ends as they want it to.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)
