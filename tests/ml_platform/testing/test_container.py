from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from ml_platform.testing.container import Container

LOOKS = """
import os, sys
from pathlib import Path
import ml_platform.jobs.fit
Path("mine.txt").write_text("written")
print(sorted(name for name in os.environ if name.startswith(("ML_", "SECRET"))))
for path in sys.argv[1:]:
    try:
        print("seen", Path(path).read_text())
    except OSError as error:
        print("refused", path, type(error).__name__)
"""
WAITS = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"


def started(folder: Path, program: str, *arguments: str) -> Container:
    folder.mkdir()
    # Its working folder is no place that programs are found in.
    (folder / "code").mkdir()
    (folder / "code" / "program.py").write_text(program)
    return Container.start(["program", *arguments], folder, {})


def test_a_container_sees_nothing_of_its_callers_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")
    outside = tmp_path / "callers.txt"
    outside.write_text("private")
    readme = Path(__file__).parents[3] / "README.md"
    container = started(tmp_path / "box", LOOKS, str(outside), str(readme), "mine.txt")
    assert container.process.wait(60) == 0
    assert container.output().splitlines()[-4:] == [
        "[]",
        f"refused {outside} PermissionError",
        f"refused {readme} PermissionError",
        "seen written",
    ]


def test_a_program_of_the_platform_can_start_another(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import ml_platform.jobs.fit'], check=True)"
    )
    container = started(tmp_path / "box", program)
    assert container.process.wait(60) == 0, container.output()


def living(group: int) -> list[psutil.Process]:
    members = [process for process in psutil.process_iter(["status"]) if os.getpgid(process.pid) == group]
    return [process for process in members if process.info["status"] != psutil.STATUS_ZOMBIE]


def test_nothing_of_a_stopped_container_runs(tmp_path: Path) -> None:
    container = started(tmp_path / "box", WAITS + "time.sleep(60)")
    deadline = time.monotonic() + 30
    while len(living(container.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(living(container.pid)) == 2
    container.stop(grace_seconds=5)
    assert container.poll() is not None
    assert not living(container.pid)
