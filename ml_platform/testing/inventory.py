"""The contract of an inventory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from ml_platform.records.inventory import Owned
from ml_platform.records.job import JobSpec
from ml_platform.roles.inventory import Inventory
from ml_platform.roles.job_runner import JobRunner
from ml_platform.testing import training_set
from ml_platform.testing.job_runner import ENDLESS


@contextmanager
def endless_fit(runner: JobRunner, pin: Mapping[str, Any]) -> Iterator[Callable[[], Owned]]:
    """Starts a fit that goes on for as long as nobody ends it; it has ended afterwards. pin: of a training set."""
    started: list[str] = []

    def start() -> Owned:
        started.append(runner.submit(JobSpec("late@1", "fit", training_set.fit_arguments(dict(pin), **ENDLESS))))
        return Owned("job", started[0])

    yield start
    for job in started:
        runner.cancel(job)


class InventoryContract:
    """What every inventory keeps. Inherit it and supply `inventory`, `another` and `kept`."""

    @pytest.fixture
    def inventory(self) -> Inventory:
        """Of an environment in which nothing is there."""
        raise NotImplementedError

    @pytest.fixture
    def another(self) -> Inventory:
        """Of another environment of the same account."""
        raise NotImplementedError

    @pytest.fixture
    def kept(self) -> Callable[[], Owned]:
        """Makes something in the environment, and gives what an inventory has to say of it."""
        raise NotImplementedError

    def test_nothing_is_found_where_nothing_is(self, inventory: Inventory) -> None:
        assert list(inventory.found(["late"])) == []

    def test_what_is_there_is_found_until_it_is_removed(self, inventory: Inventory, kept: Callable[[], Owned]) -> None:
        made = kept()
        assert [(one.kind, one.name) for one in inventory.found(["late"])] == [(made.kind, made.name)]
        inventory.remove(made)
        assert list(inventory.found(["late"])) == []
        inventory.remove(made)

    def test_another_environment_neither_finds_nor_removes_it(
        self, inventory: Inventory, another: Inventory, kept: Callable[[], Owned]
    ) -> None:
        made = kept()
        assert list(another.found(["late"])) == []
        with pytest.raises(Exception, match=r"late|job"):
            another.remove(made)
        assert len(inventory.found(["late"])) == 1
