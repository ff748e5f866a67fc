"""The stand-ins, around one command: `python -m resources.gcp.testing ml-platform run …`, by the profile `gcp`."""

from __future__ import annotations

import sys

from ml_platform.testing.stand_in import run_command
from resources.gcp.testing.cloud import cloud

if __name__ == "__main__":
    sys.exit(run_command(cloud(), "gcp", sys.argv[1:]))
