from __future__ import annotations

import inspect
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from accounts import stand_ins_only
from deltalake import DeltaTable

from ml_platform import binding
from ml_platform.binding import Binding
from ml_platform.engine import delta
from ml_platform.engine.staging import stage
from ml_platform.errors import BindingError
from ml_platform.records.table import Location
from ml_platform.testing.concurrent_writers import TABLE, ConcurrentWritersContract
from ml_platform.testing.lakehouse import LakehouseContract
from ml_platform.testing.stand_in import Cloud
from resources.databricks.lakehouse import DatabricksLakehouse
from resources.databricks.workspace import Workspace

Opens = Callable[[str], DatabricksLakehouse]


def append(location: Location, number: int) -> None:
    rows = pa.table({"number": [number]})
    read = delta.snapshot(location)
    delta.commit(stage(rows.to_batches(), rows.schema, location), read=read, replaced=(), transactions={}, evidence={})


class TestDatabricksLakehouse(LakehouseContract):
    @pytest.fixture
    def lakehouse(self, lakehouse_in: Opens, prefix: str) -> DatabricksLakehouse:
        return lakehouse_in(prefix)


@pytest.fixture
def bound(cloud: Cloud, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Binding:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE", "databricks")
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__PREFIX", prefix)
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__CATALOG", cloud.environment["ML_PLATFORM_DATABRICKS_CATALOG"])
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__LOCATION", cloud.environment["ML_PLATFORM_DATABRICKS_LOCATION"])
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__REGION", cloud.environment["ML_PLATFORM_DATABRICKS_REGION"])
    return binding.binding("lakehouse")


@pytest.mark.usefixtures("bound")
class TestConcurrentWritersOverDatabricksLakehouse(ConcurrentWritersContract):
    def test_of_concurrent_commits_none_is_lost_and_none_is_doubled(self, catalog: str, prefix: str) -> None:
        super().test_of_concurrent_commits_none_is_lost_and_none_is_doubled()
        group, name = TABLE.split("/")
        assert Workspace().client.tables.get(f"{catalog}.{prefix}__{group}.{name}")


def test_no_credential_is_a_setting(lakehouse_in: Opens, prefix: str) -> None:
    found = [*lakehouse_in(prefix).table("a/b").storage_options, *inspect.signature(DatabricksLakehouse).parameters]
    assert not [name for name in found if "secret" in name or "key" in name or "token" in name]


def test_what_is_lent_is_not_printed_and_does_not_travel(lakehouse_in: Opens, prefix: str) -> None:
    location = lakehouse_in(prefix).table("a/b")
    lent = {name: value for name, value in location.options.items() if name not in location.storage_options}
    assert sorted(lent) == ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    assert not [value for value in lent.values() if value in repr(location) or value in repr(location.access)]
    append(location, 1)
    pinned = str(delta.pinned(location, 0))
    assert not [value for value in lent.values() if value in pinned]


@stand_ins_only("databricks")
def test_an_expired_credential_is_renewed_in_the_middle_of_a_long_run(
    lakehouse_in: Opens, prefix: str, lifetime: Callable[[float], None]
) -> None:
    location = lakehouse_in(prefix).table("a/b")
    lifetime(1.0)
    append(location, 0)
    early = location.options
    assert DeltaTable(location.uri, storage_options=early).version() == 0
    time.sleep(1.1)
    with pytest.raises(OSError, match="privileges"):
        DeltaTable(location.uri, storage_options=early)
    append(location, 1)
    assert delta.existing(location).version == 1


@stand_ins_only("databricks")
def test_a_credential_that_lasts_is_asked_for_once(
    lakehouse_in: Opens, prefix: str, lifetime: Callable[[float], None]
) -> None:
    location = lakehouse_in(prefix).table("a/b")
    assert location.options == location.options
    other = lakehouse_in(prefix).table("a/b")
    lifetime(299.0)
    assert other.options != other.options


def test_environments_see_nothing_of_each_other(lakehouse_in: Opens, prefix: str, catalog: str) -> None:
    dev, prod = (
        lakehouse_in(f"{prefix}-dev-1").table("gold/months"),
        lakehouse_in(f"{prefix}-prod").table("gold/months"),
    )
    append(dev, 1)
    assert delta.snapshot(prod) is None
    append(prod, 2)
    append(prod, 3)
    assert (delta.existing(dev).version, delta.existing(prod).version) == (0, 1)
    tables = Workspace().client.tables
    found = [tables.get(f"{catalog}.{prefix}_{name}__gold.months") for name in ("dev_1", "prod")]
    assert [table.storage_location for table in found] == [dev.uri, prod.uri]
    with pytest.raises(OSError, match="privileges"):
        DeltaTable(prod.uri, storage_options=dev.options)


def test_another_store_than_amazons_is_refused() -> None:
    with pytest.raises(BindingError, match=r"lakehouse\.location is no URL of Amazon S3"):
        DatabricksLakehouse("ml", "abfss://lake@account.dfs.core.windows.net/", "prod", "")
