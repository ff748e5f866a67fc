"""The figures that benchmarks keep, docs/bench.json: one section for each benchmark, renewed by it alone."""

from __future__ import annotations

import json
import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
_KEPT = ROOT / "docs" / "bench.json"


def keep(section: str, figures: Mapping[str, Any]) -> None:
    """The section holds the figures, printed as well, and the machine that they were measured on."""
    kept = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    kept[section] = {**machine, **figures}
    _KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    print(f"{section}: {json.dumps(figures, indent=1)}")


def peak_mb() -> int:
    """The most memory that this process held, in MB.

    Linux hands a parent's peak down through fork and exec in `ru_maxrss`; the program's own is in `/proc`.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
