"""The settings of a server: where it listens, who may ask it, and how much it takes at once."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ml_platform.errors import BindingError

LOOPBACK = "127.0.0.1"
_LEAST_CHARACTERS = 16


@dataclass(frozen=True)
class ServerSettings:
    """bind: the address that is listened at. bearer: the environment variable of the token that requests show; none is
    asked for without it. max_concurrent: requests that are in the server at once; the next is answered with 429.
    max_body_bytes: of one request; a longer one is answered with 413. max_rows: of one request; one with more is
    answered with 400.
    """

    bind: str = LOOPBACK
    bearer: str = ""
    max_concurrent: int = 64
    max_body_bytes: int = 4 * 1024 * 1024
    max_rows: int = 10_000

    def check(self) -> None:
        """Returns where a server may run so. Raises BindingError."""
        if min(self.max_concurrent, self.max_body_bytes, self.max_rows) < 1:
            raise BindingError(
                f"a server is to take {self.max_concurrent} requests of {self.max_body_bytes} bytes and "
                f"{self.max_rows} rows, but that is none",
                remedy="Give endpoint_host.max_concurrent, max_body_bytes and max_rows at least 1",
            )
        if not self.bearer and not _is_loopback(self.bind):
            raise BindingError(
                f"endpoint_host.bind is {self.bind}, which others can reach, but no token is asked of them",
                remedy="Name the environment variable of a token in endpoint_host.bearer, or bind to loopback",
            )

    @property
    def token(self) -> str:
        """What requests show; empty where nothing is asked for. Raises BindingError where the variable is no token."""
        if not self.bearer:
            return ""
        found = os.environ.get(self.bearer, "")
        if len(found) < _LEAST_CHARACTERS:
            raise BindingError(
                f"the environment variable {self.bearer} is to hold the token that requests show, but has "
                f"{len(found)} characters",
                allowed=f"A token has {_LEAST_CHARACTERS} or more",
            )
        return found

    @property
    def told(self) -> dict[str, Any]:
        """The settings as they may be compared, with a digest in place of the token."""
        digest = hashlib.sha256(self.token.encode()).hexdigest() if self.bearer else ""
        return {**asdict(self), "token_digest": digest}


def settings_of(plain: Mapping[str, Any]) -> ServerSettings:
    """The settings among other keys; what is not there is as it is without."""
    return ServerSettings(**{name: plain[name] for name in ServerSettings.__dataclass_fields__ if name in plain})


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
