"""The figures that benchmarks keep, docs/bench.json: one section for each benchmark, renewed by it alone."""

from __future__ import annotations

import json
import os
import platform
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
