"""What every test stands on: no network but loopback, and a scratch home that nothing else uses."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")

_connect = socket.socket.connect


def _guarded_connect(self: socket.socket, address: Any) -> None:
    """Connect to loopback or to a local socket file; anything else fails the test that asked."""
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = address[0]
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        if not loopback:
            raise AssertionError(f"a test reached for {host}; tests talk to loopback only")
    _connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def socket_guard() -> Iterator[None]:
    socket.socket.connect = _guarded_connect  # type: ignore[method-assign]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def scratch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for the platform's state that ends with the test, and no setting from outside."""
    for name in [name for name in os.environ if name.startswith("ML_PLATFORM_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("ML_PLATFORM_HOME", str(home))
    monkeypatch.setenv("ML_PLATFORM_ENV", "test")
    return home
