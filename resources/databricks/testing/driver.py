"""The driver of a cluster as the stand-in has it: runs a Python file of a volume with its parameters, as a program."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from resources.databricks.edge import VOLUMES


def main(file: str, *parameters: str) -> None:
    """The file has run."""
    path = Path(os.environ[VOLUMES]) / Path(file).relative_to("/Volumes")
    sys.argv = [str(path), *parameters]
    runpy.run_path(str(path), run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
