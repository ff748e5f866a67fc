"""How long hostile input takes to be refused: the slowest test that hands some in, in seconds; the goal is below one.

Of a test counts what it does between its fixtures and its end, so the platform's own loading of declarations is in it.
"""

from __future__ import annotations

import re
import subprocess
import sys

from kept import ROOT, keep

_TESTS = (
    "tests/test_hostile.py",
    "tests/ml_platform/jobs/serving/test_protocol.py",
    "tests/ml_platform/jobs/serving/test_app.py",
    "tests/resources/embedded/test_model_registry.py",
    "tests/resources/aws/test_job_runner.py",
)
_HANDED_IN = "bomb or template or query or predicate or leads_out or somebody_else or pickle or refused or is_none"
_CALL = re.compile(r"([\d.]+)s call +(\S+)")


def main() -> None:
    """The figures are kept."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        "-q",
        "--durations=0",
        "--durations-min=0",
        "-vv",
        "-k",
        _HANDED_IN,
    ]
    ran = subprocess.run([*command, *_TESTS], cwd=ROOT, capture_output=True, text=True, check=True)
    took = {name: float(seconds) for seconds, name in _CALL.findall(ran.stdout)}
    slowest = max(took, key=lambda name: took[name])
    keep("hostile", {"refused": len(took), "slowest_seconds": took[slowest], "slowest": slowest.rpartition("::")[2]})


if __name__ == "__main__":
    main()
