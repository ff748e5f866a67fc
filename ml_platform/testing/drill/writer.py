"""A run in a process of its own, which waits to be killed before it commits, or has no room on its disk.

As a program: `python -m ml_platform.testing.drill.writer PACKAGE HOME KEY PARTITION HOW SAID`.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

WAITING = "waiting"
ROOM = 20_000


def main(package: str, home: str, key: str, partition: str, how: str, said: str) -> None:
    """One asset is made, on the platform that stands below `home`.

    package: the folder of the declarations. how: `killed`, which writes into the file `said` and then waits where the
    rows are staged and not committed; or `full`, which may write no file above 20,000 bytes: what fails is in `said`.
    """
    from ml_platform.engine import delta
    from ml_platform.testing.project import Project

    def waits(*_: Any, **__: Any) -> Any:
        Path(said).write_text(WAITING)
        time.sleep(600)

    project = Project.standing(Path(package), Path(home))
    if how == "killed":
        delta.commit = waits
    else:
        _ = project.definitions
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
    ran = project.run(f'key:"{key}"', f"{partition}...{partition}")
    Path(said).write_text(json.dumps(dict(ran.failures)))


if __name__ == "__main__":
    importlib.invalidate_caches()
    main(*sys.argv[1:])
