"""A command run against the stand-in: `python -m resources.databricks.testing ml-platform run …`."""

from __future__ import annotations

import sys

from ml_platform.testing.stand_in import run_command
from resources.databricks.testing.cloud import cloud

if __name__ == "__main__":
    sys.exit(run_command(cloud(), "databricks", sys.argv[1:]))
