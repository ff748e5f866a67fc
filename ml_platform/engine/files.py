"""Plain files at a location, wherever it is: one file system interface for folders and object stores."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ml_platform.engine import intent
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location

# No space left, no quota left, larger than a file may be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# What a store's library draws its errors with.
_DRAWN = re.compile(r"\x1b\[[\d;]*m|↳")

# What it may raise to read and parse a file that is damaged; Arrow's errors are of these.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError)

if TYPE_CHECKING:
    from pyarrow import Buffer
    from pyarrow.fs import FileSystem


def filesystem(location: Location) -> FileSystem:
    """The file system whose root is the location; a local folder is made when it is missing."""
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    if "://" in location.uri:
        from ml_platform.engine.object_store import object_store

        return object_store(location.uri, location.options)
    if not intent.planned():
        Path(location.uri).mkdir(parents=True, exist_ok=True)
    return SubTreeFileSystem(location.uri, LocalFileSystem())


def put(files: FileSystem, path: str, content: bytes | Buffer) -> None:
    """The file holds the content, in place of what it held: whoever reads meanwhile sees the one or the other.

    Raises ServiceError where there is no room for it, and then nothing of it is left.
    """
    from pyarrow.fs import SubTreeFileSystem

    # An object stands only once it is whole; a local file has to be moved into its place.
    if isinstance(files, SubTreeFileSystem):
        files.move(write_beside(files, path, content), path)
    else:
        _write(files, path, path, content)


def write_beside(files: FileSystem, path: str, content: bytes | Buffer) -> str:
    """The name of a file beside the path that holds the content, to be moved there. Raises as `put`."""
    written = f"{path}.{uuid4().hex}.writing"
    _write(files, path, written, content)
    return written


def _write(files: FileSystem, path: str, written: str, content: bytes | Buffer) -> None:
    intent.about_to("change", f"the file {path} is to be written")
    try:
        with files.open_output_stream(written, compression=None) as stream:
            stream.write(content)
    except OSError as error:
        if written != path and files.get_file_info(written).type.name == "File":
            files.delete_file(written)
        require_room(f"{path} needs {len(content)} bytes", error)
        raise


def require_room(file: str, error: OSError) -> None:
    """Returns where an error of writing is not that there was no room; raises ServiceError where it is.

    file: its name, and what it needs.
    """
    if error.errno in _FULL:
        raise ServiceError(
            f"the file {file}, but there is no room for it: {error.strerror or error}",
            remedy="Free some space and run it again; what was committed stands",
        ) from error


def undrawn(error: BaseException) -> str:
    """What a store's library says, in one line and without what it draws around it."""
    return " ".join(_DRAWN.sub(" ", str(error)).split())


def download(location: Location, into: Path) -> Path:
    """The folder `into`, made where it is missing, holding every file of the location."""
    from pyarrow.fs import LocalFileSystem, copy_files

    into.mkdir(parents=True, exist_ok=True)
    copy_files("", str(into), source_filesystem=filesystem(location), destination_filesystem=LocalFileSystem())
    return into


def upload(folder: Path, location: Location) -> None:
    """The location holds every file of the folder."""
    files = filesystem(location)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if "/" in name:
            files.create_dir(name.rpartition("/")[0], recursive=True)
        put(files, name, path.read_bytes())
