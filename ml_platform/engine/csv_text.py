"""The text of a CSV file as it streams by: its header, and whether it is whole."""

from __future__ import annotations

import csv
import threading
from collections.abc import Sequence
from typing import Any

from ml_platform.errors import SourceError

BLOCK_BYTES = 4 * 2**20
_HEADER_BYTES = 2**16
# What numpy makes of so much stays in a core's own memory, which is five times faster than to make it of a block.
_LOOK_BYTES = 2**17


class Text:
    """A stream of CSV text that watches what passes. stream: anything with `read`.

    watches: whether it looks for `0x`. hexadecimal: whether any has passed since.
    """

    def __init__(self, path: str, stream: Any) -> None:
        self._path = path
        self._stream = stream
        self._head = stream.read(BLOCK_BYTES)
        self._quotes = 0
        self._last = b""
        self._one_at_a_time = threading.Lock()
        self.closed = False
        self.watches = False
        self.hexadecimal = False

    def header(self) -> Sequence[str]:
        """The names in the first line. Raises SourceError for a file that has none."""
        if not self._head:
            raise damaged(self._path, "empty")
        line = _first_record(self._head)
        try:
            return next(csv.reader([line.decode("utf-8-sig")]), [])
        except UnicodeDecodeError as error:
            raise damaged(self._path, "not UTF-8") from error
        except csv.Error as error:
            raise _no_header(self._path, line, error) from error

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end.

        pyarrow reads ahead in a thread of its own, and still does when what it has read is refused.
        """
        with self._one_at_a_time:
            return self._next(size)

    def _next(self, size: int) -> bytes:
        content: bytes
        if self._head:
            content = self._head if size < 0 else self._head[:size]
            self._head = self._head[len(content) :]
        else:
            content = self._stream.read(size if size >= 0 else BLOCK_BYTES)
        self._quotes += _quotes(content)
        if self.watches and not self.hexadecimal:
            self.hexadecimal = _may_have_hexadecimal(content, self._last) and _has_hexadecimal(content, self._last)
        self._last = content[-1:] or self._last
        return content

    def require_whole(self) -> None:
        """Returns where the text ended as a whole file does; reads what is left of it. Raises SourceError."""
        while self.read(BLOCK_BYTES):
            pass
        if self._last != b"\n":
            raise damaged(self._path, "cut off in its last line")
        if self._quotes % 2:
            raise damaged(self._path, "cut off inside a quoted field, or has a quote that is not doubled")

    def close(self) -> None:
        """Whoever reads is done."""
        self.closed = True


def damaged(path: str, what: str) -> SourceError:
    """The error for a file that is not whole."""
    return SourceError(
        f"{path} is {what}, but a whole file has a header and ends with a line break",
        remedy="Land it again; nothing of it was taken",
    )


def _first_record(head: bytes) -> bytes:
    """The text up to the first line's end that stands in no quotes, or to the first where all others do."""
    end, quotes = -1, 0
    for _ in range(head.count(b"\n", 0, _HEADER_BYTES)):
        start, end = end + 1, head.index(b"\n", end + 1)
        quotes += head.count(b'"', start, end)
        if quotes % 2 == 0:
            return head[:end]
    return head.partition(b"\n")[0]


def _quotes(content: bytes) -> int:
    import numpy as np

    found = np.frombuffer(content, np.uint8)
    parts = (found[start : start + _LOOK_BYTES] for start in range(0, len(found), _LOOK_BYTES))
    return sum(int(np.count_nonzero(part == ord('"'))) for part in parts)


def _may_have_hexadecimal(content: bytes, last: bytes) -> bool:
    """Whether `0x` stands anywhere in what follows the last byte, or across the two."""
    import numpy as np

    found = np.frombuffer(content, np.uint8)
    parts = (found[start : start + _LOOK_BYTES + 1] for start in range(0, len(found), _LOOK_BYTES))
    return last == b"0" or any(((part[:-1] == ord("0")) & ((part[1:] | 32) == ord("x"))).any() for part in parts)


def _has_hexadecimal(content: bytes, last: bytes) -> bool:
    """Whether a word that begins with `0x` stands in what follows the last byte; within words it is no number."""
    import numpy as np

    # Behind what is no letter, so that there are two places before each.
    found = np.frombuffer(b"\n\n" + last + content, np.uint8)
    at = np.flatnonzero((found | 32) == ord("x"))
    at = at[found[at - 1] == ord("0")]
    before = found[at - 2]
    letters = ((before | 32) >= ord("a")) & ((before | 32) <= ord("z")) | (before >= ord("0")) & (before <= ord("9"))
    return not letters.all()


def _no_header(path: str, line: bytes, error: Exception) -> SourceError:
    if b"\r" in line.rstrip(b"\r"):
        return SourceError(
            f"{path} has a line that ends in CR alone, but lines end in LF or in CRLF",
            remedy="Land it with such line ends; nothing of it was taken",
        )
    return damaged(path, f"without a header that can be read ({error})")
