"""The faults of an object store, as a contract: what is written stands once, whole, whatever the store answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ml_platform.engine import delta, tables
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.ingest import Ingested, Source, ingest
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.prediction_log import PredictionLog
from ml_platform.testing.faults import FAULTS
from ml_platform.testing.prediction_log import served
from ml_platform.testing.stand_in import Cloud

_ORDERS = Source("bronze/orders", "landing/shop", "*.csv", {"order_id": "string", "amount": "int64"})
_DOUBLED = "SELECT order_id, 2 * amount AS amount FROM bronze.orders"


def refuse(cloud: Cloud, fault: Any) -> None:
    """The next two calls of the control plane and the next two requests to the store are refused, in that way."""
    cloud.inject(fault, 2)
    cloud.inject(f"store_{fault}", 2)  # type: ignore[arg-type]


class StoreFaultsContract:
    """What is kept in a cloud's store when the store does not answer as it should. Supply the fixtures."""

    @pytest.fixture
    def cloud(self) -> Cloud:
        """The cloud, without a fault."""
        raise NotImplementedError

    @pytest.fixture
    def lakehouse(self) -> Lakehouse:
        """A lakehouse in it that holds nothing."""
        raise NotImplementedError

    @pytest.fixture
    def compute(self) -> Compute:
        """What runs queries over the lakehouse."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self) -> Callable[[], PredictionLog]:
        """Opens the same log in it again, as another process would; nothing was logged before the test."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def ended(self, cloud: Cloud) -> Iterator[None]:
        """No fault is left to come after the test."""
        yield
        for fault in FAULTS:
            cloud.inject(fault, 0)

    @pytest.mark.parametrize("fault", ["throttled", "broken"])
    def test_a_store_that_refuses_twice_has_every_row_once(
        self, fault: Any, cloud: Cloud, lakehouse: Lakehouse, compute: Compute
    ) -> None:
        _land(lakehouse, 1)
        refuse(cloud, fault)
        assert _ingested(lakehouse).files == 1
        refuse(cloud, fault)
        assert not _made(lakehouse, compute).commit.unchanged
        assert (_rows(lakehouse, "bronze/orders"), _rows(lakehouse, "silver/orders")) == ([("1", 1)], [("1", 2)])

    @pytest.mark.parametrize("fault", ["throttled", "broken"])
    def test_a_log_that_is_refused_twice_has_every_record_once(
        self, fault: Any, cloud: Cloud, opened: Callable[[], PredictionLog]
    ) -> None:
        log = opened()
        for number in (1, 2):
            refuse(cloud, fault)
            log.append([served(number)])
        assert opened().since("delay", 0, 10) == ([served(1), served(2)], 2)

    def test_a_record_whose_answer_was_lost_stands_once(
        self, cloud: Cloud, opened: Callable[[], PredictionLog]
    ) -> None:
        log = opened()
        for number in (1, 2):
            cloud.inject("store_unanswered", 1)
            log.append([served(number)])
        assert opened().since("delay", 0, 10) == ([served(1), served(2)], 2)

    def test_a_batch_whose_commits_answer_was_lost_is_not_ingested_again(
        self, cloud: Cloud, lakehouse: Lakehouse
    ) -> None:
        for number in (1, 2):  # the first makes the table, the second adds to it
            _land(lakehouse, number)
            cloud.inject("store_unanswered", 1)
            # The try after it finds its own transaction, and has nothing to do; without the fault it would commit.
            assert _ingested(lakehouse).commit.unchanged
        assert _ingested(lakehouse).files == 0
        assert _rows(lakehouse, "bronze/orders") == [("1", 1), ("2", 2)]
        assert delta.existing(lakehouse.table("bronze/orders")).version == 1

    @pytest.mark.parametrize("write", ["append", "overwrite"])
    def test_a_table_whose_commits_answer_was_lost_is_not_made_again(
        self, write: Any, cloud: Cloud, lakehouse: Lakehouse, compute: Compute
    ) -> None:
        for number in (1, 2):
            _land(lakehouse, number)
            _ingested(lakehouse)
            cloud.inject("store_unanswered", 1)
            assert _made(lakehouse, compute, write).commit.unchanged
        assert delta.existing(lakehouse.table("silver/orders")).version == 1
        assert _rows(lakehouse, "silver/orders") == [("1", 2), ("2", 4)]


def _land(lakehouse: Lakehouse, number: int) -> None:
    """A file of one order has landed."""
    put(filesystem(lakehouse.files("landing/shop")), f"{number}.csv", f"order_id,amount\n{number},{number}\n".encode())


def _ingested(lakehouse: Lakehouse) -> Ingested:
    return ingest(_ORDERS, [""], [], lakehouse)


def _made(lakehouse: Lakehouse, compute: Compute, write: Any = "overwrite") -> tables.Made:
    """A table of every order; where it appends, of those that came."""
    recipe = Recipe("silver/orders", ("bronze/orders",), Shape(write=write), "1", _DOUBLED)
    return tables.make(recipe, [""], [], lakehouse, compute)


def _rows(lakehouse: Lakehouse, key: str) -> list[tuple[str, int]]:
    found = delta.read_rows(delta.existing(lakehouse.table(key)), ["order_id", "amount"])
    return sorted((row["order_id"], row["amount"]) for row in found.to_pylist())
