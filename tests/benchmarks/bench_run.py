"""The benchmark of `make run`: the first run in a new home and the next, against the goals of four minutes and thirty
seconds on two cores; the figures are printed and kept in docs/bench.json."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import time

from kept import ROOT, keep

GOALS = {"first": 240.0, "again": 30.0}


def measured(home: str) -> dict[str, float]:
    """Wall and CPU seconds of one `ml-platform run`, and the most memory that any of its processes held so far."""
    command = ["make", "--no-print-directory", "run"]
    environment = {**os.environ, "ML_PLATFORM_HOME": home, "DAGSTER_HOME": f"{home}/dagster"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mb": round(after.ru_maxrss / 1024),
    }


def main() -> None:
    """Prints each run against its goal and keeps the figures."""
    with tempfile.TemporaryDirectory() as home:
        try:
            found = {name: measured(home) for name in GOALS}
        finally:
            stop = ["make", "--no-print-directory", "stop"]
            subprocess.run(stop, env={**os.environ, "ML_PLATFORM_HOME": home}, check=False, cwd=ROOT)
    keep("make_run", {"goals_seconds": GOALS, **found})


if __name__ == "__main__":
    main()
