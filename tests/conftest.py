"""What every test stands on: no network but loopback, a scratch home, and one real run of the flights graph."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SUPPORT = ROOT / "tests" / "support"

# Processes that a test starts are guarded as well; they inherit the environment.
os.environ["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MPLBACKEND="Agg")

# A shell that starts this in the background has it ignore what tests interrupt programs with, and those inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

import sitecustomize  # noqa: E402 - the guard of this process; Python started without it
from accounts import named  # noqa: E402
from flights import Flights  # noqa: E402
from scopes import Scopes, on_flights  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """The guard lets through what `-m aws_account` and its like ask for, here and in processes that tests start."""
    os.environ[sitecustomize.REACH] = " ".join(named(config.option.markexpr))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no process waits for it at the end."""
    items.sort(key=lambda item: not on_flights(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where processes share the tests, each makes what it needs once."""
    return Scopes(config, log)


@pytest.fixture(autouse=True)
def scratch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for the platform's state that ends with the test, and no setting from outside."""
    for name in [name for name in os.environ if name.startswith("ML_PLATFORM_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("ML_PLATFORM_HOME", str(home))
    monkeypatch.setenv("ML_PLATFORM_ENV", "test")
    return home


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    home = tmp_path_factory.mktemp("flights")
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ML_PLATFORM_", "DAGSTER_"))}
    environment = {**kept, "ML_PLATFORM_HOME": str(home), "ML_PLATFORM_ENV": "test", "DAGSTER_HOME": str(dagster_home)}
    everything = ["asset", "materialize", "-m", "ml_platform.definitions", "--select", "*"]
    graph = Flights(home, environment)
    try:
        made = graph.run("dagster", *everything, "--partition-range", "2013-01...2013-12")
        assert made.returncode == 0, made.stderr[-5_000:]
        yield graph
    finally:
        graph.run("ml-platform", "stop")
