"""A decompressed stream that stops where it grows as no file of rows does."""

from __future__ import annotations

from typing import Any

from ml_platform.errors import SourceError

MOST_TIMES = 100
FREE_BYTES = 64 * 2**20
"""A file may grow to this size whatever it was; beyond, to a hundred times of what it was compressed to."""


class Decompressed:
    """Reads as its stream does. Raises SourceError once more came out of a file than rows compress to.

    stream: gives decompressed bytes. size_bytes: of the compressed file.
    """

    closed = False

    def __init__(self, stream: Any, path: str, size_bytes: int) -> None:
        self._stream, self._path, self._size_bytes = stream, path, size_bytes
        self._came = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content: bytes = self._stream.read(FREE_BYTES if size is None or size < 0 else size)
        self._came += len(content)
        if self._came > max(FREE_BYTES, MOST_TIMES * self._size_bytes):
            raise SourceError(
                f"{self._path} is of {self._size_bytes:,} bytes, but decompresses to more than {MOST_TIMES} times as "
                "many, as a file that is made to fill a disk does",
                allowed=f"Any file may come to {FREE_BYTES // 2**20} MiB",
                remedy="Find out who sent it; land it uncompressed if these are its rows",
            )
        return content

    def close(self) -> None:
        """Its stream is closed by whoever opened it."""
