from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from deltalake import write_deltalake

from ml_platform.records.inventory import Owned
from ml_platform.testing import training_set
from ml_platform.testing.inventory import InventoryContract, endless_fit
from resources.aws.inventory import AwsInventory
from resources.aws.job_runner import AwsJobRunner
from resources.aws.lakehouse import AwsLakehouse


class TestAwsInventory(InventoryContract):
    @pytest.fixture
    def inventory(self, place: dict[str, str]) -> AwsInventory:
        return AwsInventory(place["prefix"], place["region"], poll_seconds=0.1)

    @pytest.fixture
    def another(self, place: dict[str, str]) -> AwsInventory:
        # by name, it could be the other's
        return AwsInventory(place["prefix"][:-1], place["region"], poll_seconds=0.1)

    @pytest.fixture
    def kept(self, place: dict[str, str]) -> Iterator[Callable[[], Owned]]:
        image, role = os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"]
        runner = AwsJobRunner(image, role, **place, poll_seconds=0.1)
        table = AwsLakehouse(**place).table("training_set")
        write_deltalake(table.uri, training_set.rows(), storage_options=table.options)
        pin = {"uri": table.uri, "version": 0, "storage_options": table.storage_options}
        with endless_fit(runner, pin) as start:
            yield start
