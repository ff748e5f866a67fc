"""Landing: files brought as they are into a landing folder, from a folder, an object store or an installed package."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from uuid import uuid4

from pyarrow import NativeFile
from pyarrow.fs import FileSystem, FileType, SubTreeFileSystem

from ml_platform.engine import intent
from ml_platform.engine.files import filesystem, require_room, undrawn
from ml_platform.engine.landed import WRITING, matching, paths
from ml_platform.engine.landed_erasure import originals
from ml_platform.engine.landed_file import LandedFile, gone, identified
from ml_platform.errors import SourceError
from ml_platform.records.table import Location
from ml_platform.roles.lakehouse import Lakehouse

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Landed:
    """What became of a landing. written, unchanged: files; digest: of every file that was brought, by path."""

    written: int
    unchanged: int
    size_bytes: int
    digest: str
    seconds: float


def land(key: str, origin: str, pattern: str, lakehouse: Lakehouse) -> Landed:
    """The landing folder of an asset holds every file of the origin that matches, byte for byte.

    origin: a folder, or an object store's URI, reached with the credentials of the process's environment. What the
    origin does not have any more stays landed. Raises SourceError where nothing matches, and for a file that is written
    to or goes while it is brought, or cannot be; ServiceError where there is no room. Of that file nothing lands.
    """
    started = time.monotonic()
    source, target = filesystem(_reached(key, origin, lakehouse)), filesystem(lakehouse.files(key))
    offered = _listed(source, key, origin, pattern)
    for path in offered:
        _require_inside(path, key)
    if not offered:
        found = _listed(source, key, origin)
        raise SourceError(
            f"{key} brings {pattern}, but no file of its origin matches it",
            allowed=f"There are {', '.join(found[:5])} and {max(0, len(found) - 5)} more" if found else "",
            remedy="Mend files or the origin in its defs.yaml",
        )
    files = [identified(path, source) for path in offered]
    # Of a file of which rows were erased since, what is left stands, and the whole does not come back.
    erased = originals(lakehouse)
    written = sum(_brought(file, source, target) for file in files if file.digest not in erased)
    seen = hashlib.sha256(repr([(file.path, file.digest) for file in files]).encode()).hexdigest()[:32]
    size = sum(file.size_bytes for file in files)
    return Landed(written, len(files) - written, size, seen, time.monotonic() - started)


def _listed(source: FileSystem, key: str, origin: str, pattern: str | None = None) -> list[str]:
    """The paths of all files that there are, or of those that match."""
    try:
        return paths(source) if pattern is None else matching(source, pattern)
    except OSError as error:
        raise SourceError(
            f"{key} brings files from {origin}, but they cannot be listed: {undrawn(error)}",
            remedy="Mend the origin, or rename what has no name that a file may have",
        ) from error


def _require_inside(path: str, key: str) -> None:
    """Returns where a file of that name lands below the landing folder. An object store takes any name for a key."""
    if path.startswith("/") or "\\" in path or not {"..", ".", ""}.isdisjoint(path.split("/")):
        raise SourceError(
            f"{key} is to bring a file of the name {path!r}, but that leads out of its folder",
            remedy="Rename it where it comes from, or leave it out by files in the landing's defs.yaml",
        )


def packaged(name: str, folder: str) -> str:
    """The folder inside an installed distribution. Raises SourceError where either is not there."""
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path

    try:
        path = Path(str(distribution(name).locate_file(folder)))
    except PackageNotFoundError as error:
        raise SourceError(
            f"the package {name} is not installed, but files are brought from it", remedy=f"Install {name}"
        ) from error
    if not path.is_dir():
        raise SourceError(
            f"the package {name} has no folder {folder}, but files are brought from it",
            remedy="Mend package.folder in the landing's defs.yaml",
        )
    return str(path)


def _reached(key: str, origin: str, lakehouse: Lakehouse) -> Location:
    """The origin; a store of the lakehouse's kind is where the lakehouse's is, but nothing is lent for it."""
    target = lakehouse.files(key)
    same = "://" in origin and origin.partition("://")[0] == target.uri.partition("://")[0]
    return Location(key, origin, target.storage_options if same else {})


def _brought(file: LandedFile, source: FileSystem, target: FileSystem) -> bool:
    """Whether the file had to be written; it stands now."""
    stands = target.get_file_info(file.path)
    if stands.type == FileType.File and stands.size == file.size_bytes and identified(file.path, target) == file:
        return False
    # An object stands only once it is whole; a local file has to be moved into its place.
    local = isinstance(target, SubTreeFileSystem)
    if local and stands.type == FileType.Directory:
        raise SourceError(
            f"{file.path} is to be brought, but a folder of that name has landed",
            remedy="Rename it where it comes from, or remove the folder from the landing",
        )
    intent.about_to("change", f"{file.path} is to be brought")
    written = f"{file.path}.{uuid4().hex}{WRITING}" if local else file.path
    # Before anything is written, for of a file that is gone by now the landing may hold the only copy.
    reads = _reading(file.path, source)
    try:
        with reads:
            _put(file, reads, target, written)
    except BaseException as error:
        if target.get_file_info(written).type == FileType.File:
            target.delete_file(written)
        if isinstance(error, OSError):
            raise _unbrought(file.path, error) from error
        raise
    return True


def _reading(path: str, source: FileSystem) -> NativeFile:
    try:
        return source.open_input_stream(path, compression=None)
    except FileNotFoundError as error:
        raise gone(path) from error
    except OSError as error:
        raise _unbrought(path, error) from error


def _put(file: LandedFile, reads: NativeFile, target: FileSystem, written: str) -> None:
    """The file stands, by way of the name that it is written under."""
    if "/" in file.path:
        target.create_dir(file.path.rpartition("/")[0], recursive=True)
    if _copied(reads, target, written) != file.digest:
        raise SourceError(
            f"{file.path} was written to while it was brought, but files are brought whole", remedy="Run it again"
        )
    if written != file.path:
        target.move(written, file.path)


def _unbrought(path: str, error: OSError) -> SourceError:
    """The error for a file that could not be copied. Raises ServiceError where there is no room for it."""
    require_room(f"{path} is to be brought", error)
    return SourceError(
        f"{path} is to be brought, but it cannot be copied: {undrawn(error)}",
        remedy="See that it can be read where it comes from, and that the landing can be written to",
    )


def _copied(reads: NativeFile, target: FileSystem, written: str) -> str:
    """The digest of the bytes that were copied, of which a megabyte at a time is held."""
    digest = hashlib.sha256()
    with target.open_output_stream(written, compression=None) as writes:
        while chunk := reads.read(_CHUNK_BYTES):
            digest.update(chunk)
            writes.write(chunk)
    return digest.hexdigest()[:32]
