"""Plain files at a location, wherever it is: one file system interface for folders and object stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def filesystem(location: Location) -> FileSystem:
    """The file system whose root is the location; a local folder is made when it is missing."""
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    if "://" in location.uri:
        from ml_platform.engine.object_store import object_store

        return object_store(location.uri, location.storage_options)
    Path(location.uri).mkdir(parents=True, exist_ok=True)
    return SubTreeFileSystem(location.uri, LocalFileSystem())
