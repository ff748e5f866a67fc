"""What is made once for many tests is made by one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scopes import FLIGHTS, on_flights

SUPPORT = Path(__file__).parent / "support"


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/test_flights.py::test_a_second_run_changes_nothing", True),
        ("tests/test_readme.py::test_adding_a_table_works_as_shown", True),
        ("tests/test_layout.py::test_a_file_has_its_test[x]", False),
        ("tests/ml_platform/test_rows.py::test_rows", False),
    ],
)
def test_modules_that_ask_for_the_flights_are_known(nodeid: str, expected: bool) -> None:
    assert on_flights(nodeid) is expected
    assert FLIGHTS


def test_a_module_s_tests_share_a_process_and_modules_do_not(tmp_path: Path) -> None:
    """The marks of xdist are lost on newer pytest without a word; so it is seen here, in processes."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(SUPPORT)!r})\n"
        "from scopes import Scopes\ndef pytest_xdist_make_scheduler(config, log):\n    return Scopes(config, log)\n"
    )
    for name in ("test_a.py", "test_b.py"):
        (tmp_path / name).write_text(
            "import os, time\nfrom pathlib import Path\nimport pytest\n"
            "@pytest.mark.parametrize('number', range(4))\ndef test_one(number):\n    time.sleep(0.1)\n"
            f"    (Path({str(tmp_path)!r}) / f'{name}-{{os.getpid()}}').touch()\n"
        )
    command = [sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadscope", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    ran = {name: {path.name for path in tmp_path.glob(f"{name}-*")} for name in ("test_a.py", "test_b.py")}
    assert {name: len(found) for name, found in ran.items()} == {"test_a.py": 1, "test_b.py": 1}
    assert len({name.rpartition("-")[2] for found in ran.values() for name in found}) == 2
