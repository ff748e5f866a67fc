from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
ASKS = """
import boto3, os, sys
print(os.environ["ML_PLATFORM_PROFILE"])
boto3.client("sagemaker").list_models()
sys.exit(3)
"""


def test_command_runs_by_the_profile_on_the_stand_ins_and_its_code_comes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "resources.aws.testing", Path(sys.executable).name, "-c", ASKS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (3, "aws"), done.stderr
