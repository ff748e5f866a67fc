"""The socket guard: with this folder on PYTHONPATH, a Python process reaches loopback and nothing else."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def refuse_beyond_loopback(family: int, address: Any) -> None:
    """Returns for loopback and for local socket files; anything else ends the process's attempt with an error."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0])
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise AssertionError(f"a test reached for {host}; tests talk to loopback only")


def _guarded(self: socket.socket, address: Any) -> None:
    refuse_beyond_loopback(self.family, address)
    _connect(self, address)


def _guarded_ex(self: socket.socket, address: Any) -> int:
    refuse_beyond_loopback(self.family, address)
    return _connect_ex(self, address)


socket.socket.connect = _guarded  # type: ignore[method-assign]
socket.socket.connect_ex = _guarded_ex  # type: ignore[method-assign]
