"""The socket guard, in this process and in one that a test starts."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

ELSEWHERE = "192.0.2.1"  # set aside for documentation: nothing is there


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_nothing_beyond_loopback_is_reached(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as made, pytest.raises(AssertionError, match="loopback only"):
        made.connect((ELSEWHERE, 80))


def test_no_datagram_leaves() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made, pytest.raises(AssertionError, match=ELSEWHERE):
        made.sendto(b"hello", (ELSEWHERE, 53))


def test_no_name_is_looked_up() -> None:
    with pytest.raises(AssertionError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 80)


def test_a_process_that_a_test_starts_is_guarded_as_well() -> None:
    reach = f"import socket; socket.create_connection(({ELSEWHERE!r}, 80), timeout=1)"

    done = subprocess.run([sys.executable, "-c", reach], capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "loopback only" in done.stderr
