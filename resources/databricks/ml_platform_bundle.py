"""The module by which MLflow opens a bundle: the platform's code beside it is one archive, which is unpacked first.

It travels alone and imports nothing of ours before that. Files one by one would be four hundred requests to a store,
when a bundle is registered and whenever a server starts.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

ARCHIVE = "ml_platform.zip"


def _load_pyfunc(path: str) -> Any:
    """The endpoint of the bundle at `path`; the name is MLflow's."""
    with zipfile.ZipFile(Path(__file__).with_name(ARCHIVE)) as archive:
        folder = mkdtemp(prefix="ml_platform-")  # for as long as the server's machine is there
        archive.extractall(folder)
    sys.path.insert(0, folder)
    from resources.databricks import served_model

    return served_model._load_pyfunc(path)
