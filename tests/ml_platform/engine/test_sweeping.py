from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.staging import stage
from ml_platform.engine.sweeping import House, remove, sweep
from ml_platform.errors import DeclarationError
from ml_platform.records.inventory import Owned
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.prediction_log import served
from resources.embedded.lakehouse import EmbeddedLakehouse
from resources.embedded.prediction_log import EmbeddedPredictionLog

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
DECLARED = ("endpoints/delay", "endpoints/delay__log", "gold/totals", "features/late_v1", "models/delay")


class Kept:
    """An inventory that is told what there is, and remembers what is removed."""

    def __init__(self, *owned: Owned) -> None:
        self.owned = list(owned)
        self.removed: list[str] = []

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        return self.owned

    def remove(self, owned: Owned) -> None:
        self.removed.append(owned.name)


@pytest.fixture
def house(tmp_path: Path) -> House:
    log = EmbeddedPredictionLog(str(tmp_path / "log"))
    return House(
        DECLARED, Kept(), log, MemoryModelRegistry(), EmbeddedLakehouse(str(tmp_path)), NOW, 24.0, waited=False
    )


def _table(house: House, key: str) -> Path:
    rows = pa.table({"number": [1]})
    location = house.lakehouse.table(key)
    staged = stage(rows.to_batches(), rows.schema, location)
    delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
    return Path(location.uri)


def test_of_a_tidy_house_nothing_is_found(house: House) -> None:
    _table(house, "gold/totals")
    _table(house, "gold/totals__quarantine")
    assert list(sweep(house)) == []


def test_an_endpoint_is_idle_once_nobody_has_asked_it_for_so_long(house: House) -> None:
    house = replace(house, inventory=Kept(Owned("endpoint", "delay")))
    (never,) = sweep(house)
    assert (never.name, never.why) == ("endpoints/delay", "it serves, but was never asked")
    house.log.append([replace(served(1), served_at=NOW - timedelta(hours=30))])
    house.log.append([replace(served(9), served_at=NOW, named=True), replace(served(8), served_at=NOW, shadow=True)])
    (idle,) = sweep(house)
    assert idle.why == "it serves, but was asked last at 2024-04-30 06:00 UTC"
    house.log.append([replace(served(2), served_at=NOW - timedelta(hours=1))])
    assert list(sweep(house)) == []


def test_an_endpoint_that_was_never_asked_is_idle_only_once_it_has_served_for_so_long(house: House) -> None:
    new, old = (Owned("endpoint", "delay", NOW - timedelta(hours=hours)) for hours in (1, 25))
    assert list(sweep(replace(house, inventory=Kept(new)))) == []
    (never,) = sweep(replace(house, inventory=Kept(old)))
    assert never.why == "it serves, but was never asked"


def test_a_job_is_an_orphan_only_while_no_run_may_wait_for_it(house: House) -> None:
    house = replace(house, inventory=Kept(Owned("job", "fit-late-1", NOW - timedelta(hours=3))))
    (orphan,) = sweep(house)
    assert (orphan.name, orphan.why) == (
        "jobs/fit-late-1",
        "it goes on since 2024-05-01 09:00, but no run is there that waits for it",
    )
    assert list(sweep(replace(house, waited=True))) == []


def test_what_nothing_declares_is_found_wherever_it_stands(house: House, tmp_path: Path) -> None:
    inventory = Kept(Owned("endpoint", "old"), Owned("view", "old_v1"), Owned("view", "late_v1"))
    house = replace(house, inventory=inventory, now=datetime.now(UTC) + timedelta(days=2))
    _table(house, "silver/old")
    house.registry.register("forgotten", tmp_path, {"fingerprint": "1"})
    put(filesystem(house.lakehouse.files("code/ml_platform")), f"{'ab' * 32}.zip", b"code")
    assert [one.name for one in sweep(house)] == [
        "endpoints/old",
        "views/old_v1",
        "models/forgotten",
        "silver/old",
        f"code/{'ab' * 8}",
    ]


def test_what_the_platform_keeps_for_itself_is_never_offered(house: House) -> None:
    _table(house, "platform/taints")
    assert list(sweep(house)) == []


def test_only_what_is_named_is_removed(house: House) -> None:
    inventory = Kept(Owned("endpoint", "old"), Owned("job", "fit-late-1"))
    house = replace(house, inventory=inventory)
    dropped, stays = _table(house, "silver/old"), _table(house, "gold/totals")
    found = list(sweep(house))
    assert [one.name for one in remove(["silver/old", "endpoints/old"], found, inventory)] == [
        "silver/old",
        "endpoints/old",
    ]
    assert inventory.removed == ["old"]
    assert not dropped.exists()
    assert stays.exists()


def test_a_name_that_was_not_found_removes_nothing_at_all(house: House) -> None:
    inventory = Kept(Owned("endpoint", "old"))
    found = list(sweep(replace(house, inventory=inventory)))
    with pytest.raises(DeclarationError, match=r"endpoints/delay is to be removed, but the sweep does not find it"):
        list(remove(["endpoints/old", "endpoints/delay"], found, inventory))
    assert inventory.removed == []


def test_a_table_that_a_model_pins_stays(house: House, tmp_path: Path) -> None:
    _table(house, "silver/old")
    pin = '{"key": "silver/old", "version": 0, "fingerprint": "x"}'
    house.registry.register("delay", tmp_path, {"fingerprint": "1", "training_set": pin})
    found = [one for one in sweep(house) if one.name == "silver/old"]
    with pytest.raises(DeclarationError, match="a registered model pins it"):
        list(remove(["silver/old"], found, house.inventory))
