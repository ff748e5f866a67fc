"""Unity Catalog as a lakehouse uses it: tables entered where they lie, and credentials lent for a while."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from ml_platform.errors import NotFoundError, ServiceError
from resources.databricks.lending import PATH_CREDENTIALS, deltalake_options
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa
    from databricks.sdk.service.catalog import TableInfo

    from ml_platform.roles.lakehouse import Access

# The tag of what is ours, on everything that we make in a workspace.
ENVIRONMENT = "ml_platform_environment"
_TABLES = "/api/2.1/unity-catalog/tables"
_RENEWED_SECONDS = 300.0
# Delta's primitive types, as the catalog's `type_text` where that differs.
_TEXT = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}


@dataclass(frozen=True)
class _Lent:
    """options: in deltalake's spelling. ends: in seconds of the epoch."""

    options: Mapping[str, str]
    ends: float


class UnityCatalog:
    """One environment's part of a catalog. environment: what its entries are tagged with."""

    def __init__(self, workspace: Workspace, environment: str) -> None:
        self._workspace = workspace
        self._environment = environment
        self._lent: dict[str, _Lent] = {}
        self._lock = Lock()

    def access(self, uri: str, table: str = "") -> Access:
        """Who lends credentials for the URI, and enters the table of that full name there; without a name, none is."""
        return _Access(self, uri, table)

    def credentials(self, uri: str, table: str) -> Mapping[str, str]:
        """Credentials that last for five minutes at least: those of the table where it is entered, or of its path."""
        with self._lock:
            lent = self._lent.get(uri)
            if lent is None or lent.ends - time.time() < _RENEWED_SECONDS:
                lent = self._lent[uri] = self._lend(uri, table)
        return lent.options

    def enter(self, table: str, uri: str, schema: pa.Schema) -> None:
        """The catalog has the table, with these columns, at the URI; one with other columns is entered anew.

        Raises ServiceError where the name is another table's.
        """
        columns = _columns(schema)
        found = self._find(table, uri)
        if found and _named(found) == _named(columns):
            return
        if found:
            self._workspace.ask(
                f"tables/delete of {table}", "ownership of the table", lambda client: client.tables.delete(table)
            )
        try:
            self._create(table, uri, columns)
        except ServiceError:
            # Somebody who commits at the same time may have entered it first.
            found = self._find(table, uri)
            if not found or _named(found) != _named(columns):
                raise

    def _lend(self, uri: str, table: str) -> _Lent:
        from databricks.sdk.service.catalog import TableOperation

        found = self._find(table, uri) if table else None
        if found is None:
            permission = "EXTERNAL USE LOCATION, READ FILES and WRITE FILES on the external location"
            body = {"url": uri, "operation": "PATH_READ_WRITE"}
            answer = self._workspace.do("POST", PATH_CREDENTIALS, permission, body)
        else:
            answer = self._workspace.ask(
                f"temporary-table-credentials of {table}",
                "EXTERNAL USE SCHEMA on its schema, SELECT and MODIFY on the table",
                lambda client: client.temporary_table_credentials.generate_temporary_table_credentials(
                    operation=TableOperation.READ_WRITE, table_id=found.table_id
                ).as_dict(),
            )
        return _Lent(deltalake_options(answer), answer["expiration_time"] / 1000)

    def _find(self, table: str, uri: str) -> TableInfo | None:
        """The entry; None where there is none. Raises ServiceError where it is not ours, or lies elsewhere."""
        try:
            found = self._workspace.ask(
                f"tables/get of {table}", "USE SCHEMA and SELECT", lambda client: client.tables.get(table)
            )
        except NotFoundError:
            return None
        owner = (found.properties or {}).get(ENVIRONMENT)
        if owner != self._environment or (found.storage_location or "").rstrip("/") != uri:
            raise ServiceError(
                f"the table {table} stands in the catalog at {found.storage_location}, but is somebody else's",
                allowed=f"Ours lies at {uri} and has the property {ENVIRONMENT}={self._environment}",
                remedy="Drop or rename that table, or use another catalog",
            )
        return found

    def _create(self, table: str, uri: str, columns: Sequence[Mapping[str, Any]]) -> None:
        catalog, schema, name = table.split(".")
        self._require_schema(catalog, schema)
        permission = "CREATE TABLE on the schema and CREATE EXTERNAL TABLE on the external location"
        body = {
            "name": name,
            "catalog_name": catalog,
            "schema_name": schema,
            "table_type": "EXTERNAL",
            "data_source_format": "DELTA",
            "storage_location": uri,
            "columns": columns,
            "properties": {ENVIRONMENT: self._environment},
        }
        self._workspace.do("POST", _TABLES, permission, body)

    def _require_schema(self, catalog: str, schema: str) -> None:
        """The schema stands."""
        name, properties = f"{catalog}.{schema}", {ENVIRONMENT: self._environment}
        try:
            self._workspace.ask(f"schemas/get of {name}", "USE CATALOG", lambda client: client.schemas.get(name))
        except NotFoundError:
            try:
                self._workspace.ask(
                    f"schemas/create of {name}",
                    "CREATE SCHEMA on the catalog",
                    lambda client: client.schemas.create(schema, catalog, properties=properties),
                )
            except NotFoundError:
                raise
            except ServiceError:
                # Somebody may have made it in between; where nobody has, this says so.
                self._workspace.ask(f"schemas/get of {name}", "USE CATALOG", lambda client: client.schemas.get(name))


@dataclass(frozen=True)
class _Access:
    """What the catalog lends for one location. table: full name; empty for plain files."""

    catalog: UnityCatalog
    uri: str
    table: str

    def credentials(self) -> Mapping[str, str]:
        return self.catalog.credentials(self.uri, self.table)

    def committed(self, schema: pa.Schema) -> None:
        if self.table:
            self.catalog.enter(self.table, self.uri, schema)


def table_name(catalog: str, prefix: str, key: str) -> str:
    """The full name of an asset key's table: the environment and the key's group are its schema.

    >>> table_name("ml", "dev-1", "silver/flights")
    'ml.dev_1__silver.flights'
    """
    *groups, name = (re.sub(r"\W", "_", part.lower()) for part in (prefix, *key.split("/")))
    return f"{catalog}.{'__'.join(groups)}.{name}"


def _columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as the catalog takes them."""
    from deltalake import Schema

    fields = json.loads(Schema.from_arrow(schema).to_json())["fields"]
    return [
        {
            "name": field["name"],
            "position": position,
            "nullable": field["nullable"],
            "type_text": _text(field["type"]),
            "type_name": _kind(field["type"]),
            "type_json": json.dumps(field),
        }
        for position, field in enumerate(fields)
    ]


def _text(kind: Any) -> str:
    """A Delta type in SQL's words.

    >>> _text({"type": "array", "elementType": "long", "containsNull": True})
    'array<bigint>'
    """
    if isinstance(kind, str):
        return _TEXT.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{_text(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{_text(kind['keyType'])},{_text(kind['valueType'])}>"
    fields = (f"{field['name']}:{_text(field['type'])}" for field in kind["fields"])
    return f"struct<{','.join(fields)}>"


def _kind(kind: Any) -> str:
    """The catalog's `type_name` of a Delta type."""
    name = kind if isinstance(kind, str) else kind["type"]
    return {"integer": "INT"}.get(name, name.partition("(")[0].upper())


def _named(columns: TableInfo | Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    """Name and type of each column."""
    if isinstance(columns, Sequence):
        return [(column["name"], column["type_text"]) for column in columns]
    return [(column.name, column.type_text) for column in columns.columns or ()]
