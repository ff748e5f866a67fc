from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ml_platform.records.inventory import Owned
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.inventory import InventoryContract
from ml_platform.testing.job_runner import ENDLESS
from resources.gcp.inventory import GcpInventory
from resources.gcp.job_runner import GcpJobRunner


class TestGcpInventory(InventoryContract):
    @pytest.fixture
    def inventory(self, account: Any) -> GcpInventory:
        return _inventory(account, account.prefix)

    @pytest.fixture
    def another(self, account: Any) -> GcpInventory:
        return _inventory(account, f"{account.prefix}-other")

    @pytest.fixture
    def kept(self, account: Any, gcp_pin: dict[str, Any]) -> Iterator[Callable[[], Owned]]:
        """A fit that goes on for as long as nobody ends it."""
        runner, started = GcpJobRunner(**account.settings), []

        def start() -> Owned:
            spec = JobSpec("late@1", "fit", training_set.fit_arguments(gcp_pin, **ENDLESS))
            started.append(runner.submit(spec))
            return Owned("job", started[0])

        yield start
        for job in started:
            runner.cancel(job)


def _inventory(account: Any, prefix: str) -> GcpInventory:
    settings = {name: account.settings[name] for name in ("project", "region", "api_endpoint", "poll_seconds")}
    return GcpInventory(prefix, **settings)
