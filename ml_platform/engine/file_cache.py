"""A folder with copies of an object store's files, for engines that read nothing but local ones."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pyarrow.fs import FileSystem

from ml_platform.engine.files import filesystem
from ml_platform.errors import ServiceError
from ml_platform.records.table import DataFile, Location

_AT_A_TIME = 8
_COPY_BYTES = 2**20


class FileCache:
    """Copies of files that never change, by location and path; any number of processes may use one folder.

    folder: made when it is missing. limit_gib: GiB of copies that stay once nobody is reading; the least recently used
    go first. While somebody reads, nothing goes.
    """

    def __init__(self, folder: str, limit_gib: float) -> None:
        self._folder = Path(folder).absolute()
        self._limit_bytes = int(limit_gib * 2**30)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What `local` gives stays while the block runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            try:
                yield
            finally:
                self._trim(lock.fileno())

    def local(self, location: Location, files: Sequence[DataFile]) -> Path:
        """The folder that has the files under their own paths; those that it had already are not copied again.

        Raises ServiceError for a file that is not there, or not as large as its table says.
        """
        home = self._folder / hashlib.sha256(location.uri.encode()).hexdigest()[:32]
        absent = [file for file in files if not _touched(home / file.path)]
        if absent:
            store = filesystem(location)
            with ThreadPoolExecutor(_AT_A_TIME) as pool:
                list(pool.map(lambda file: _copy(store, location.key, file, home / file.path), absent))
        return home

    def _trim(self, lock: int) -> None:
        """The limit holds afterwards, unless somebody else is reading: then it is for the last of them to see to."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for unfinished in self._folder.rglob("*.writing"):
            unfinished.unlink()
        stats = [(path.stat(), path) for path in self._folder.rglob("*.parquet")]
        held = sum(stat.st_size for stat, _ in stats)
        for stat, path in sorted(stats, key=lambda one: one[0].st_mtime_ns):
            if held <= self._limit_bytes:
                return
            path.unlink()
            held -= stat.st_size


def _touched(path: Path) -> bool:
    """Whether the copy is there; it is then the most recently used."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _copy(store: FileSystem, key: str, file: DataFile, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f"{to.name}.{uuid4().hex}.writing")
    try:
        with store.open_input_stream(file.path) as stream, unfinished.open("wb") as copy:
            shutil.copyfileobj(stream, copy, _COPY_BYTES)
    except FileNotFoundError as error:
        raise ServiceError(
            f"{file.path} of the table {key} is gone, but its log names it",
            remedy="Restore the file, or an older version of the table",
        ) from error
    found = unfinished.stat().st_size
    if found != file.size_bytes:
        raise ServiceError(f"{file.path} of the table {key} has {found} bytes, but its log says {file.size_bytes}")
    unfinished.replace(to)
