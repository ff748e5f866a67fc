"""The socket guard: with this folder on PYTHONPATH, a Python process reaches loopback and nothing else.

It stands in front of Python's sockets and look-ups of names. Libraries with clients of their own (delta-rs, DuckDB) do
not pass here; what they reach is a matter of their settings.

TESTS_REACH names the clouds whose accounts `pytest -m` asks for, which sets it: their names, and the addresses that
these were looked up to be, are let through, and nothing else is.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
from typing import Any

REACH = "TESTS_REACH"
# Where machines of a cloud find their own credentials, and who they are.
_MACHINE = r"169\.254\.(169\.254|170\.2)|metadata\.google\.internal"
_CLOUDS = {
    "aws": rf".+\.(amazonaws\.com|api\.aws)|{_MACHINE}",
    "gcp": rf".+\.googleapis\.com|{_MACHINE}",
    "databricks": r".+\.(databricks\.com|azuredatabricks\.net|amazonaws\.com)",
}
_let_through: set[str] = set()

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_sendto = socket.socket.sendto
_getaddrinfo = socket.getaddrinfo


def refuse_beyond_loopback(family: int, address: Any) -> None:
    """Returns for loopback and for local socket files; anything else ends the process's attempt with an error."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    refuse_name(str(address[0]))


def refuse_name(host: str) -> None:
    """Returns for the name or an address of this machine's loopback, or of a cloud that may be reached."""
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified:
            return
    if host not in ("", "localhost", socket.gethostname()) and not _of_a_cloud(host):
        raise AssertionError(f"a test reached for {host}; tests talk to loopback only")


def _of_a_cloud(host: str) -> bool:
    clouds = os.environ.get(REACH, "").split()
    return any(host in _let_through or re.fullmatch(_CLOUDS[cloud], host) for cloud in clouds)


def _guarded(self: socket.socket, address: Any) -> None:
    refuse_beyond_loopback(self.family, address)
    _connect(self, address)


def _guarded_ex(self: socket.socket, address: Any) -> int:
    refuse_beyond_loopback(self.family, address)
    return _connect_ex(self, address)


def _guarded_sendto(self: socket.socket, data: Any, *rest: Any) -> int:
    refuse_beyond_loopback(self.family, rest[-1])
    return _sendto(self, data, *rest)


def _guarded_getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    refuse_name(name)
    found = _getaddrinfo(host, *rest, **named)
    if _of_a_cloud(name):
        _let_through.update(str(address[4][0]) for address in found)
    return found


socket.socket.connect = _guarded  # type: ignore[method-assign]
socket.socket.connect_ex = _guarded_ex  # type: ignore[method-assign]
socket.socket.sendto = _guarded_sendto  # type: ignore[method-assign,assignment]
socket.getaddrinfo = _guarded_getaddrinfo
