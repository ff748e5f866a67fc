from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ml_platform.errors import NotFoundError
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.records.inventory import Owned
from ml_platform.testing.inventory import InventoryContract, endless_fit
from resources.databricks.endpoint_host import DatabricksEndpointHost
from resources.databricks.inventory import DatabricksInventory
from resources.databricks.job_runner import DatabricksJobRunner


class TestDatabricksInventory(InventoryContract):
    @pytest.fixture
    def inventory(self, prefix: str) -> DatabricksInventory:
        return DatabricksInventory(prefix, poll_seconds=0.2)

    @pytest.fixture
    def another(self, prefix: str) -> DatabricksInventory:
        return DatabricksInventory(f"{prefix}x", poll_seconds=0.2)

    @pytest.fixture
    def kept(
        self, prefix: str, runner_in: Callable[..., DatabricksJobRunner], pin: dict[str, Any]
    ) -> Iterator[Callable[[], Owned]]:
        with endless_fit(runner_in(prefix), pin) as start:
            yield start


def test_endpoint_goes_by_its_declared_name_and_that_of_another_environment_is_left(
    host: DatabricksEndpointHost, prefix: str, spec: EndpointSpec
) -> None:
    inventory, another = (DatabricksInventory(name, poll_seconds=0.2) for name in (prefix, f"{prefix}x"))
    before = datetime.now(UTC)
    host.deploy(spec)
    (found,) = inventory.found([])
    assert (found.kind, found.name) == ("endpoint", spec.name)
    assert found.since is not None
    assert abs((found.since - before).total_seconds()) < 60
    assert list(another.found([spec.name])) == []
    inventory.remove(found)
    assert (host.describe(spec.name), list(inventory.found([]))) == (None, [])


def test_job_that_is_none_is_told(prefix: str) -> None:
    with pytest.raises(NotFoundError, match="job late is asked for, but there is none"):
        DatabricksInventory(prefix).remove(Owned("job", "late"))
