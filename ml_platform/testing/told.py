"""What a stand-in was told, and what its containers printed: files, for whoever looks through them afterwards."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from threading import Lock


class Told:
    """One folder of such files. folder: made where it is missing."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = count(1)
        self._lock = Lock()

    def keep(self, what: str, content: bytes) -> None:
        """The content of one request stands in a file. what: the operation that it asked for."""
        self._path(what).write_bytes(content)

    def log(self) -> Path:
        """Where one container prints to."""
        return self._path("container.log")

    def _path(self, what: str) -> Path:
        with self._lock:
            number = next(self._numbers)
        return self._folder / f"{number:06}-{what.replace('/', '.')}"
