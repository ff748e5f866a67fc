"""The stand-ins, around one command: `python -m resources.aws.testing ml-platform run …`, by the profile `aws`."""

from __future__ import annotations

import sys

from ml_platform.testing.stand_in import run_command
from resources.aws.testing.cloud import cloud

if __name__ == "__main__":
    sys.exit(run_command(cloud(), "aws", sys.argv[1:]))
