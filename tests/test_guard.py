"""The socket guard, in this process and in one that a test starts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sitecustomize
from accounts import named

from ml_platform.binding import ROLES, class_name

ROOT = Path(__file__).parent.parent
ELSEWHERE = "192.0.2.1"  # set aside for documentation: nothing is there
OF_A_CLOUD = "s3.eu-central-1.amazonaws.com"


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hosts and addresses that were let through; behind the guard, every name is ELSEWHERE's and nobody answers."""
    let_through: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        let_through.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ELSEWHERE, 443))]

    monkeypatch.setattr(sitecustomize, "_getaddrinfo", look_up)
    monkeypatch.setattr(sitecustomize, "_connect", lambda _, address: let_through.append(address[0]))
    monkeypatch.setattr(sitecustomize, "_let_through", set())
    return let_through


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


def test_cloud_that_is_named_is_reached_and_nothing_else_is(
    reached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sitecustomize.REACH, "aws")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        with pytest.raises(AssertionError, match="loopback only"):
            made.connect((ELSEWHERE, 443))
        socket.create_connection((OF_A_CLOUD, 443)).close()
        made.connect((ELSEWHERE, 443))  # what the name was looked up to be
        for other in ("192.0.2.2", "storage.googleapis.com", "amazonaws.com.example.org"):
            with pytest.raises(AssertionError, match="loopback only"):
                made.connect((other, 443))
    assert reached == [OF_A_CLOUD, ELSEWHERE, ELSEWHERE]


def test_cloud_that_is_not_named_is_refused_by_name_and_address(reached: list[str]) -> None:
    assert not os.environ.get(sitecustomize.REACH)
    sitecustomize._let_through.add(ELSEWHERE)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        for host in (ELSEWHERE, OF_A_CLOUD):
            with pytest.raises(AssertionError, match="loopback only"):
                made.connect((host, 443))
    with pytest.raises(AssertionError, match=OF_A_CLOUD):
        socket.getaddrinfo(OF_A_CLOUD, 443)
    assert reached == []


@pytest.mark.parametrize(
    ("expression", "clouds"),
    [
        ("not aws_account and not gcp_account and not databricks_account", []),
        ("", []),
        ("aws_account", ["aws"]),
        ("databricks_account or gcp_account", ["gcp", "databricks"]),
    ],
)
def test_the_clouds_that_may_be_reached_are_those_whose_accounts_are_asked_for(
    expression: str, clouds: list[str]
) -> None:
    assert named(expression) == clouds


@pytest.mark.parametrize("cloud", ["aws", "gcp", "databricks"])
def test_an_account_is_put_through_every_suite_of_its_cloud_and_through_the_slice(cloud: str) -> None:
    collecting = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", f"{cloud}_account"]
    command = [*collecting, f"tests/resources/{cloud}", "tests/test_clouds.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line for line in done.stdout.splitlines() if "::" in line]
    services = sorted(path.stem for path in (ROOT / "resources" / cloud).glob("*.py") if path.stem in ROLES)
    assert len(services) >= 4
    for role in services:
        suite = "::Test" + class_name(cloud, role)
        assert [line for line in found if f"resources/{cloud}/test_{role}.py{suite}::" in line], role
    assert [line for line in found if line.startswith("tests/test_clouds.py::TestTheShopOn")]
    # What a stand-in alone can do, such as a fault on demand, is asked of no account.
    assert not [line for line in found if "/testing/" in line or "stand-in" in line]
