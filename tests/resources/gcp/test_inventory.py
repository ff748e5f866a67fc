from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ml_platform.records.inventory import Owned
from ml_platform.testing.inventory import InventoryContract, endless_fit
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
        with endless_fit(GcpJobRunner(**account.settings), gcp_pin) as start:
            yield start


def _inventory(account: Any, prefix: str) -> GcpInventory:
    settings = {name: account.settings[name] for name in ("project", "region", "api_endpoint", "poll_seconds")}
    return GcpInventory(prefix, **settings)
