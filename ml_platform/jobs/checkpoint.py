"""The checkpoint of a remote job: the folder in which it finds what it had done, kept where the next attempt looks."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ml_platform.engine.files import download, filesystem, put
from ml_platform.records.table import Location

_INTERVAL_SECONDS = 2.0


class Checkpoint:
    """While it is open, the folder's files are put to the location as they change, and once more when it is left.

    They are there again, as far as they were put, when an attempt that was killed is made anew. A store that fails
    makes a job start from the beginning, and never fail: that is printed.
    """

    def __init__(self, location: Location, folder: Path) -> None:
        self.folder = folder
        self._location = location
        self._put: dict[str, str] = {}
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._told(lambda: download(self._location, self.folder), "is not found again")
        self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._writer.join()
        self._told(self._save, "may not be found again")

    def forget(self) -> None:
        """The location holds nothing of it: the job has come to its end."""
        self._over.set()
        self._writer.join()
        for path in self.folder.iterdir():
            path.unlink()
        self._told(self._delete, "is left behind")

    def _write(self) -> None:
        while not self._over.wait(_INTERVAL_SECONDS):
            self._told(self._save, "may not be found again")

    def _save(self) -> None:
        files = filesystem(self._location)
        for path in sorted(path for path in self.folder.iterdir() if path.is_file()):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                # A lock that was given back meanwhile.
                continue
            found = hashlib.sha256(content).hexdigest()
            if self._put.get(path.name) != found:
                put(files, path.name, content)
                self._put[path.name] = found

    def _delete(self) -> None:
        from pyarrow.fs import FileSelector

        files = filesystem(self._location)
        for info in files.get_file_info(FileSelector("", allow_not_found=True)):
            files.delete_file(info.path)

    def _told(self, act: Callable[[], object], otherwise: str) -> None:
        try:
            act()
        except Exception as error:
            # Stores fail in ways of their own, and what a job has done so far is no reason for it to end.
            print(f"what the job had done {otherwise}: {error!r}", file=sys.stderr, flush=True)
