from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
from databricks.sdk import WorkspaceClient
print(os.environ["ML_PLATFORM_PROFILE"], WorkspaceClient().catalogs.get("ml").name)
sys.exit(3)
"""


def test_a_command_runs_against_the_stand_in_and_its_exit_code_is_kept() -> None:
    command = [sys.executable, "-m", "resources.databricks.testing", "python", "-c", PROGRAM]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, "databricks ml\n"), ran.stderr
