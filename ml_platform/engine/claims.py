"""Claims: staged files that another run may be about to commit, which whoever fails leaves alone.

A staged file is named by its content, so two runs that make the same rows stage the same file. Whoever finds it there
claims it, and what is claimed stays until the vacuum, whatever becomes of the run that wrote it. In a local folder a
file is placed, claimed and withdrawn under one lock. An object store has none: there, what was staged for a commit that
failed is left to the vacuum.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ml_platform.engine.files import filesystem, put, write_beside
from ml_platform.records.table import Location

if TYPE_CHECKING:
    from pyarrow import Buffer
    from pyarrow.fs import FileSystem

FOLDER = "_claims"
"""Inside a table's folder, with a file for each claim; Delta's readers and vacuums look at no name that opens so."""
_LOCK = f"{FOLDER}/lock"


def place(location: Location, files: FileSystem, path: str, content: Buffer) -> bool:
    """Whether it was us who wrote the file; one that stands by now has this content, and is claimed."""
    if not _is_local(location):
        put(files, path, content)
        return True
    written = write_beside(files, path, content)
    with _turn(location):
        if _stands(files, path):
            _claim(files, path)
            files.delete_file(written)
            return False
        files.move(written, path)
        return True


def adopt(location: Location, files: FileSystem, path: str) -> bool:
    """Whether the file still stands; it is claimed then."""
    with _turn(location):
        if not _stands(files, path):
            return False
        _claim(files, path)
        return True


def withdraw(location: Location, paths: Iterable[str], *, at_once: bool = False) -> None:
    """The files are gone that nobody claims. at_once: in an object store too, of what was staged a moment ago."""
    files = filesystem(location)
    if not at_once and not _is_local(location):
        return
    with _turn(location):
        for path in paths:
            if _stands(files, path) and not _stands(files, _name(path)):
                files.delete_file(path)


def forget(location: Location, now: float, grace_seconds: float) -> None:
    """Claims that are older are gone: whoever wrote what they are of has committed or failed. now: since 1970."""
    from pyarrow.fs import FileSelector

    files = filesystem(location)
    for info in files.get_file_info(FileSelector(FOLDER, allow_not_found=True)):
        if info.path != _LOCK and info.mtime is not None and now - info.mtime.timestamp() > grace_seconds:
            files.delete_file(info.path)


def _claim(files: FileSystem, path: str) -> None:
    files.create_dir(FOLDER, recursive=True)
    put(files, _name(path), b"")


def _name(path: str) -> str:
    return f"{FOLDER}/{quote(path, safe='')}"


def _stands(files: FileSystem, path: str) -> bool:
    return bool(files.get_file_info(path).type.name == "File")


def _is_local(location: Location) -> bool:
    return "://" not in location.uri


@contextmanager
def _turn(location: Location) -> Iterator[None]:
    """Nobody else places, claims or withdraws a file of the folder meanwhile."""
    if not _is_local(location):
        yield
        return
    lock = Path(location.uri) / _LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
