from __future__ import annotations

import subprocess
import sys

LOOKS = "import os; print(os.environ['ML_PLATFORM_PROFILE'], os.environ['ML_PLATFORM_GCP_BUCKET']); raise SystemExit(7)"


def test_a_command_runs_by_the_profile_on_the_stand_ins_and_its_exit_code_counts() -> None:
    command = [sys.executable, "-m", "resources.gcp.testing", "python", "-c", LOOKS]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (7, "gcp ml-platform"), ran.stderr
