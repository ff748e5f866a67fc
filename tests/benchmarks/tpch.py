"""TPC-H's tables as Parquet files, made once for each scale by tpchgen-cli."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_FOLDER = Path(os.environ.get("ML_PLATFORM_BENCH_DATA", Path(tempfile.gettempdir()) / "ml_platform_tpch"))


def table(name: str, scale: int) -> Path:
    """The file of one table at a scale factor; `ML_PLATFORM_BENCH_DATA` names the folder that they are kept in."""
    folder = _FOLDER / f"sf{scale}"
    path = folder / f"{name}.parquet"
    if not path.exists():
        program = Path(sys.executable).with_name("tpchgen-cli")
        command = [str(program), "parquet", "--scale-factor", str(scale), "--tables", name, "--output-dir", str(folder)]
        subprocess.run(command, check=True)
    return path
