from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound
from databricks.sdk.service.catalog import TableOperation, VolumeType

from resources.databricks.lending import PATH_CREDENTIALS

TABLES = "/api/2.1/unity-catalog/tables"
COLUMN = {"name": "a", "type_text": "bigint", "type_name": "LONG", "type_json": "{}", "position": 0, "nullable": True}


def body(prefix: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "t",
        "catalog_name": "ml",
        "schema_name": prefix,
        "table_type": "EXTERNAL",
        "data_source_format": "DELTA",
        "storage_location": f"s3://lake/platform/{prefix}/t",
        "columns": [COLUMN],
        "properties": {"a": "b"},
        **changes,
    }


@pytest.fixture
def schema(client: WorkspaceClient, prefix: str) -> str:
    client.schemas.create(prefix, "ml")
    return prefix


def test_what_was_made_is_found_listed_and_gone(client: WorkspaceClient, schema: str) -> None:
    client.api_client.do("POST", TABLES, body=body(schema))
    found = client.tables.get(f"ml.{schema}.t")
    assert (found.storage_location, found.properties) == (f"s3://lake/platform/{schema}/t", {"a": "b"})
    assert [column.name for column in found.columns or ()] == ["a"]
    assert [table.full_name for table in client.tables.list("ml", schema)] == [f"ml.{schema}.t"]
    assert schema in [one.name for one in client.schemas.list("ml")]
    with pytest.raises(BadRequest, match="is not empty"):
        client.schemas.delete(f"ml.{schema}")
    client.tables.delete(f"ml.{schema}.t")
    client.schemas.delete(f"ml.{schema}")
    with pytest.raises(NotFound, match=f"Schema 'ml.{schema}' does not exist"):
        client.schemas.get(f"ml.{schema}")


def test_a_name_and_a_place_are_taken_once(client: WorkspaceClient, schema: str) -> None:
    client.api_client.do("POST", TABLES, body=body(schema))
    with pytest.raises(BadRequest, match="already exists"):
        client.api_client.do("POST", TABLES, body=body(schema))
    inside = f"s3://lake/platform/{schema}/t/inside"
    with pytest.raises(BadRequest, match="overlaps with other external tables"):
        client.api_client.do("POST", TABLES, body=body(schema, name="u", storage_location=inside))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table_type": "MANAGED"}, "Only external tables"),
        ({"data_source_format": "CSV"}, "Only external tables"),
        ({"table_type": "OUTSIDE"}, "Invalid value for table_type"),
        ({"colums": []}, "Unknown field: colums"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    client: WorkspaceClient, schema: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        client.api_client.do("POST", TABLES, body=body(schema, **changes))


def test_nothing_is_lent_outside_of_an_external_location(client: WorkspaceClient) -> None:
    asked = {"url": "s3://lake/platformed", "operation": "PATH_READ"}
    with pytest.raises(NotFound, match="No parent external location"):
        client.api_client.do("POST", PATH_CREDENTIALS, body=asked)
    with pytest.raises(NotFound, match="Table 'nobody' does not exist"):
        client.temporary_table_credentials.generate_temporary_table_credentials(
            operation=TableOperation.READ, table_id="nobody"
        )


def test_a_volume_is_gone_with_its_files(client: WorkspaceClient, schema: str) -> None:
    client.volumes.create("ml", schema, "v", VolumeType.MANAGED)
    client.files.create_directory(f"/Volumes/ml/{schema}/v/a")
    client.volumes.delete(f"ml.{schema}.v")
    with pytest.raises(NotFound, match="does not exist"):
        client.files.create_directory(f"/Volumes/ml/{schema}/v/a")
