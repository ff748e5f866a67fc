"""Room: how many requests a server takes at once; who finds none is told to come again."""

from __future__ import annotations

from starlette.exceptions import HTTPException


class Room:
    """Places for some requests, each taken while a block runs; entering raises HTTPException 429 where none is left.

    It is told by one thread. taken: how many are. most: there are. of: which requests these are, for people.
    """

    def __init__(self, most: int, of: str = "") -> None:
        self.taken = 0
        self._most, self._of = most, of

    def __enter__(self) -> None:
        if self.taken >= self._most:
            raise HTTPException(
                429,
                f"{self._most} requests{self._of} are being answered, but no more are taken. Send it again.",
                {"Retry-After": "1"},
            )
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1
