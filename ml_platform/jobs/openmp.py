"""OpenMP for LightGBM on a machine that has none: scikit-learn's own copy, under the name that LightGBM looks for.

LightGBM's wheel leaves `libgomp.so.1` to the system, and slim images leave it out; scikit-learn's wheel brings it. The
loader reads its search path when a process starts, so it goes to the processes that load LightGBM: jobs and servers.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

_NAME = "libgomp.so.1"


def environment(folder: Path) -> dict[str, str]:
    """What a child process's environment needs so that LightGBM loads in it; nothing where the machine has OpenMP.

    folder: where a link to the library may stand.
    """
    if sys.platform != "linux":
        return {}
    try:
        ctypes.CDLL(_NAME)
    except OSError:
        return borrowed(folder)
    return {}


def borrowed(folder: Path) -> dict[str, str]:
    """The environment in which scikit-learn's copy is found first; nothing where scikit-learn brings none."""
    spec = importlib.util.find_spec("sklearn")
    site = Path(str(spec.origin)).parents[1] if spec and spec.origin else Path()
    copies = sorted(site.glob("scikit_learn.libs/libgomp*.so*"))
    if not copies:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{_NAME}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(copies[0])
    temporary.rename(folder / _NAME)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return {"LD_LIBRARY_PATH": path}
