"""Every drill, one after the other, and the table of what became of them."""

from __future__ import annotations

import os
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from ml_platform.testing.drill import deliveries, inputs, learning, machine, serving
from ml_platform.testing.drill.outcome import Drill, Outcome, stumbled
from ml_platform.testing.drill.world import World

DRILLS = (
    Drill("a file sent twice", "April's file lands again under another name", deliveries.sent_twice),
    Drill("late data", "a file brings an order of February", deliveries.late),
    Drill("a changed schema", "a file's column has another name", deliveries.schema_changed),
    Drill("a flood of nulls", "May's orders have no amount", inputs.flood_of_nulls),
    Drill("a shifted covariate", "June's orders are 1,000 dearer", inputs.shifted),
    Drill("a leaky feature", "a feature remembers what later orders were", learning.leaky_feature),
    Drill("a worse model", "the model is learned by one that looks at nothing", inputs.worse_model),
    Drill("a failing rollout", "a new version raises on what users ask", serving.failing_rollout),
    Drill("a killed writer", "SIGKILL between writing rows and the commit", machine.killed_writer),
    Drill("a killed server", "SIGKILL right behind the last answer", serving.killed_server),
    Drill("a full disk", "no room beyond 20,000 bytes a file (RLIMIT_FSIZE)", machine.full_disk),
    Drill("a registry that is down", "nobody listens at its port", learning.registry_down),
)
_HEAD = ("drill", "injected", "guard that fired", "shows in the UI at", "nothing lost", "s")
_WIDTHS = (18, 26, 26, 32, 38, 5)


def drill(say: Callable[[str], None]) -> bool:
    """Whether every guard fired and nothing was lost, on a platform that is made for it and gone afterwards.

    No `ML_PLATFORM_…` of this process counts: neither its clock nor its home is the scratch platform's.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("ML_PLATFORM_")}
    with patch.dict(os.environ, own, clear=True), tempfile.TemporaryDirectory(prefix="drill-") as folder:
        world = World(Path(folder) / "platform")
        try:
            started = time.monotonic()
            say("a scratch platform is made: files, tables, features, model, endpoint, log, monitor")
            world.make()
            say(f"it serves and is watched, after {time.monotonic() - started:.0f} s")
            return run(DRILLS, world, say)
        finally:
            world.close()


def run(drills: Sequence[Drill], world: World, say: Callable[[str], None]) -> bool:
    """Whether every guard fired and nothing was lost; a line a drill as it goes, then the table."""
    rows: list[tuple[Drill, Outcome, float]] = []
    for number, each in enumerate(drills, 1):
        started = time.monotonic()
        outcome = _outcome(each, world)
        rows.append((each, outcome, time.monotonic() - started))
        say(f"{number:>2}/{len(drills)} {each.name}: {outcome.verdict}. {' '.join(outcome.said.split())}")
    say("")
    for line in table(rows):
        say(line)
    bad = [each.name for each, outcome, _ in rows if outcome.verdict != "fired"]
    seconds = sum(took for *_, took in rows)
    say(f"{len(rows) - len(bad)} of {len(rows)} guards fired and nothing was lost, in {seconds:.0f} s")
    if bad:
        say(f"not so: {', '.join(bad)}")
    return not bad


def _outcome(each: Drill, world: World) -> Outcome:
    try:
        return each.inject(world)
    except Exception as error:  # whatever it is, the guard was not seen to fire
        return stumbled(error)


def table(rows: Sequence[tuple[Drill, Outcome, float]]) -> list[str]:
    """The lines of a table, each row as high as its longest cell."""
    lines = [*_row(_HEAD), _rule()]
    for each, outcome, seconds in rows:
        guard = outcome.guard if outcome.fired else f"SILENT: {outcome.guard}"
        kept = f"LOST: {'; '.join(outcome.lost)}" if outcome.lost else "; ".join(outcome.kept)
        lines += [*_row((each.name, each.injected, guard, outcome.where, kept, f"{seconds:.1f}")), _rule()]
    return lines


def _row(cells: Sequence[str]) -> list[str]:
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)]
    height = max(len(lines) for lines in wrapped)
    filled = [lines + [""] * (height - len(lines)) for lines in wrapped]
    return [
        " | ".join(text.ljust(width) for text, width in zip(line, _WIDTHS, strict=True)).rstrip()
        for line in zip(*filled, strict=True)
    ]


def _rule() -> str:
    return "-+-".join("-" * width for width in _WIDTHS)
