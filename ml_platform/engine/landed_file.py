"""A landed file: its name, the digest of its bytes, and its bytes as rows are read from them.

Of CSV and JSON lines every byte is hashed as it is read for the rows, so that what the rows are made of is what the
file was identified by. Parquet is read back and forth, so the file is hashed again behind its rows. Small files are
held from when they are identified, and are read once in all, whatever their format and wherever they lie.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem

from ml_platform.engine.files import undrawn
from ml_platform.errors import SourceError

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class LandedFile:
    """One file as it landed.

    path: in its landing folder; digest: of its bytes, hexadecimal. content: its bytes, where they are held.
    """

    path: str
    digest: str
    size_bytes: int
    content: pa.Buffer | None = field(default=None, compare=False, repr=False)


def identified(path: str, files: FileSystem, room_bytes: int = 0) -> LandedFile:
    """The file with the digest of its bytes, of which a megabyte at a time is held; all, where they fit into the room.

    Raises SourceError for one that is gone or cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    held: list[bytes] | None = []
    try:
        with files.open_input_stream(path, compression=None) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                held = None if held is None or size > room_bytes else [*held, chunk]
    except FileNotFoundError as error:
        raise gone(path) from error
    except OSError as error:
        raise SourceError(
            f"{path} was listed, but it cannot be read: {undrawn(error)}",
            remedy="See that it can be read, and run again",
        ) from error
    content = None if held is None or not room_bytes else pa.py_buffer(b"".join(held))
    return LandedFile(path, digest.hexdigest()[:32], size, content)


class Watched:
    """A file that opens as it does in its file system, and knows of what was read whether it is what was identified."""

    def __init__(self, file: LandedFile, files: FileSystem) -> None:
        self._file = file
        self._files = files
        self._passing: _Passing | None = None

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self._passing is not None:
            self._passing.stream.close()

    @property
    def size_bytes(self) -> int:
        """Of the file as it landed."""
        return self._file.size_bytes

    def open_input_stream(self, path: str, compression: str | None = None) -> Any:
        """Its bytes from the first to the last, decompressed."""
        if self._file.content is not None:
            reader: Any = pa.BufferReader(self._file.content)
            return pa.CompressedInputStream(reader, compression) if compression else reader
        # What decompresses reads little at a time, which would each be a request to an object store.
        stream = self._files.open_input_stream(path, compression=None, buffer_size=_CHUNK_BYTES if compression else 0)
        self._passing = _Passing(stream)
        if compression:
            return pa.CompressedInputStream(pa.PythonFile(self._passing, mode="r"), compression)
        return self._passing

    def open_input_file(self, path: str) -> Any:
        """Its bytes, in any order."""
        if self._file.content is not None:
            return pa.BufferReader(self._file.content)
        return self._files.open_input_file(path)

    def require_same(self) -> None:
        """Returns where what was read is what was identified; raises SourceError."""
        if self._file.content is not None:
            return
        found = self._passing.digest() if self._passing else identified(self._file.path, self._files).digest
        if found != self._file.digest:
            raise SourceError(
                f"{self._file.path} was written to while it was read, but a landed file never changes",
                remedy="Land files whole, for instance by renaming them into place; then run again",
            )


def gone(path: str) -> SourceError:
    """The error for a file that was there a moment ago."""
    return SourceError(f"{path} was listed, but it is gone", remedy="Land it again, or run again")


class _Passing:
    """A stream whose bytes are hashed as they pass; it stays open for those that nobody read."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._hash = hashlib.sha256()

    def __enter__(self) -> _Passing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int = -1) -> bytes:
        content: bytes = self.stream.read(size)
        self._hash.update(content)
        return content

    def digest(self) -> str:
        """Of all bytes of the file."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()[:32]

    def close(self) -> None:
        """Whoever reads is done."""
