from __future__ import annotations

import pyarrow as pa
import pytest

from ml_platform.errors import ServiceError
from resources.databricks.unity_catalog import ENVIRONMENT, UnityCatalog
from resources.databricks.workspace import Workspace

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("small", pa.int32()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("price", pa.decimal128(10, 2)),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("place", pa.struct([pa.field("lat", pa.float64()), pa.field("count", pa.int64())])),
    ]
)


@pytest.fixture
def table(catalog: str, prefix: str) -> str:
    return f"{catalog}.{prefix}__silver.flights"


@pytest.fixture
def uri(cloud, prefix: str) -> str:
    return f"{cloud.environment['ML_PLATFORM_DATABRICKS_LOCATION']}/{prefix}/tables/silver/flights"


@pytest.fixture
def entries(prefix: str) -> UnityCatalog:
    return UnityCatalog(Workspace(), prefix)


def test_a_table_is_entered_where_it_lies_with_its_columns(
    entries: UnityCatalog, table: str, uri: str, prefix: str
) -> None:
    entries.enter(table, uri, SCHEMA)
    entries.enter(table, uri, SCHEMA)
    found = Workspace().client.tables.get(table)
    assert found.storage_location == uri
    assert found.properties == {ENVIRONMENT: prefix}
    columns = [(column.name, column.type_text, column.type_name and column.type_name.value) for column in found.columns]
    assert columns == [
        ("id", "bigint", "LONG"),
        ("small", "int", "INT"),
        ("at", "timestamp", "TIMESTAMP"),
        ("price", "decimal(10,2)", "DECIMAL"),
        ("tags", "array<string>", "ARRAY"),
        ("place", "struct<lat:double,count:bigint>", "STRUCT"),
    ]


def test_changed_columns_are_entered_anew(entries: UnityCatalog, table: str, uri: str) -> None:
    entries.enter(table, uri, SCHEMA)
    first = Workspace().client.tables.get(table).table_id
    entries.enter(table, uri, SCHEMA.append(pa.field("more", pa.bool_())))
    found = Workspace().client.tables.get(table)
    assert found.table_id != first
    assert [column.name for column in found.columns or ()][-1] == "more"


def test_a_name_that_is_somebody_elses_is_left_alone(entries: UnityCatalog, table: str, uri: str) -> None:
    UnityCatalog(Workspace(), "somebody").enter(table, uri, SCHEMA)
    for refused in (lambda: entries.enter(table, uri, SCHEMA), lambda: entries.credentials(uri, table)):
        with pytest.raises(ServiceError, match="but is somebody else's"):
            refused()
    assert Workspace().client.tables.get(table).properties == {ENVIRONMENT: "somebody"}


def test_two_that_enter_a_table_at_once_both_succeed(
    entries: UnityCatalog, table: str, uri: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = entries._create

    def late(*given) -> None:
        UnityCatalog(Workspace(), prefix).enter(table, uri, SCHEMA)
        create(*given)

    monkeypatch.setattr(entries, "_create", late)
    entries.enter(table, uri, SCHEMA)
    assert Workspace().client.tables.get(table)


def test_a_table_that_is_entered_has_credentials_of_its_own(entries: UnityCatalog, table: str, uri: str) -> None:
    before = entries.credentials(uri, table)
    entries.enter(table, uri, SCHEMA)
    assert entries.credentials(uri, table) == before
    assert UnityCatalog(Workspace(), entries._environment).credentials(uri, table) != before
