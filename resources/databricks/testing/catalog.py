"""The stand-in's Unity Catalog: catalogs, schemas, volumes, external tables and locations, and credentials for them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from databricks.sdk.service import catalog as uc
from starlette.routing import Route

from resources.databricks.lending import PATH_CREDENTIALS
from resources.databricks.testing.protocol import ApiError, Given, call, invalid
from resources.databricks.testing.state import State

_API = "/api/2.1/unity-catalog"
Info = uc.CatalogInfo | uc.SchemaInfo | uc.VolumeInfo | uc.TableInfo | uc.ExternalLocationInfo


# This SDK has no methods for these two calls; the names are those of the REST API.
@dataclass
class CreateTable:
    """The body of the call that registers an external table."""

    name: str
    catalog_name: str
    schema_name: str
    table_type: uc.TableType
    data_source_format: uc.DataSourceFormat
    storage_location: str
    columns: list[uc.ColumnInfo]
    properties: dict[str, str]


class PathOperation(Enum):
    """What a path is to be opened for."""

    PATH_CREATE_TABLE = "PATH_CREATE_TABLE"
    PATH_READ = "PATH_READ"
    PATH_READ_WRITE = "PATH_READ_WRITE"


@dataclass
class LendForPath:
    """The body of the call that lends credentials for a path."""

    url: str
    operation: PathOperation
    dry_run: bool = False


def routes(state: State) -> list[Route]:
    """Every route of the catalog."""
    catalog = Catalog(state)
    made = [
        *_of("catalogs", catalog, uc.CatalogsAPI, "name"),
        *_of("schemas", catalog, uc.SchemasAPI, "full_name"),
        *_of("volumes", catalog, uc.VolumesAPI, "name"),
        *_of("external-locations", catalog, uc.ExternalLocationsAPI, "name"),
        *_of("tables", catalog, uc.TablesAPI, "full_name"),
    ]
    lending = uc.TemporaryTableCredentialsAPI.generate_temporary_table_credentials
    return [
        *made,
        call("POST", "/api/2.0/unity-catalog/temporary-table-credentials", lending, catalog.lend_for_table),
        call("POST", PATH_CREDENTIALS, LendForPath, catalog.lend_for_path),
    ]


def _of(kind: str, catalog: Catalog, api: Any, named: str) -> list[Route]:
    """Create, list, get and delete of one kind."""
    one = f"{_API}/{kind}/{{{named}}}"
    read = api.read if kind == "volumes" else api.get
    create = CreateTable if kind == "tables" else api.create
    return [
        call("POST", f"{_API}/{kind}", create, lambda given: catalog.create(kind, given)),
        call("GET", f"{_API}/{kind}", api.list, lambda given: catalog.listed(kind, given)),
        call("GET", one, read, lambda given: catalog.get(kind, given[named])),
        call("DELETE", one, api.delete, lambda given: catalog.delete(kind, given[named], bool(given.get("force")))),
    ]


class Catalog:
    """What stands, by kind and full name."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kinds: dict[str, Any] = {
            "catalogs": uc.CatalogInfo,
            "schemas": uc.SchemaInfo,
            "volumes": uc.VolumeInfo,
            "external-locations": uc.ExternalLocationInfo,
            "tables": uc.TableInfo,
        }
        self._standing: dict[str, dict[str, Any]] = {kind: {} for kind in self._kinds}

    def create(self, kind: str, given: Given) -> Info:
        """The new one. Raises ApiError where it stands already, where its parent does not, where it cannot be."""
        parents = [given[name] for name in ("catalog_name", "schema_name") if name in given]
        full_name = ".".join([*parents, given["name"]])
        if parents:
            self.get("schemas" if len(parents) == 2 else "catalogs", ".".join(parents))
        if full_name in self._standing[kind]:
            raise ApiError(400, f"{_code(kind)}_ALREADY_EXISTS", f"{_word(kind)} '{full_name}' already exists")
        if kind == "tables":
            self._check_table(given)
        made: Any = self._kinds[kind].from_dict(given)
        made.created_at = int(time.time() * 1000)
        if kind in ("schemas", "volumes", "tables"):
            made.full_name = full_name
        if kind == "tables":
            made.table_id = str(uuid4())
        if kind == "volumes":
            self._state.volumes.joinpath(*full_name.split(".")).mkdir(parents=True, exist_ok=True)
        if kind == "external-locations":
            self._state.locations[full_name] = given["url"].rstrip("/")
        self._standing[kind][full_name] = made
        return made  # type: ignore[no-any-return]

    def get(self, kind: str, full_name: str) -> Info:
        """The one of that name. Raises ApiError where there is none."""
        found = self._standing[kind].get(full_name)
        if found is None:
            raise ApiError(404, f"{_code(kind)}_DOES_NOT_EXIST", f"{_word(kind)} '{full_name}' does not exist.")
        return found  # type: ignore[no-any-return]

    def listed(self, kind: str, given: Given) -> dict[str, Any]:
        """All of the kind that the parents have, by name."""
        parents = [given[name] for name in ("catalog_name", "schema_name") if name in given]
        within = "".join(f"{parent}." for parent in parents)
        found = {name: info for name, info in sorted(self._standing[kind].items()) if name.startswith(within)}
        return {kind.replace("-", "_"): [info.as_dict() for info in found.values()]}

    def delete(self, kind: str, full_name: str, force: bool) -> None:
        """It is gone; the files of an external table stay. Raises ApiError where something is in it still."""
        self.get(kind, full_name)
        inside = [
            (of, name) for of in self._standing for name in self._standing[of] if name.startswith(f"{full_name}.")
        ]
        if inside and not force:
            raise ApiError(400, "INVALID_STATE", f"{_word(kind)} '{full_name}' is not empty")
        for of, name in [*inside, (kind, full_name)]:
            del self._standing[of][name]
        if kind == "volumes":
            shutil.rmtree(self._state.volumes.joinpath(*full_name.split(".")))
        if kind == "external-locations":
            del self._state.locations[full_name]

    def lend_for_table(self, given: Given) -> Any:
        """Credentials for the files of a table."""
        tables: Mapping[str, uc.TableInfo] = {table.table_id: table for table in self._standing["tables"].values()}
        table = tables.get(given.get("table_id", ""))
        if table is None:
            raise ApiError(404, "TABLE_DOES_NOT_EXIST", f"Table '{given.get('table_id')}' does not exist.")
        return self._lent(str(table.storage_location), given.get("operation") == uc.TableOperation.READ_WRITE.value)

    def lend_for_path(self, given: Given) -> Any:
        """Credentials for everything under a URL."""
        self._require_location(given["url"])
        return self._lent(given["url"], given["operation"] != PathOperation.PATH_READ.value)

    def _lent(self, url: str, write: bool) -> Any:
        grant = self._state.lend(url, write)
        keys = uc.AwsCredentials(
            access_key_id=grant.access_key_id,
            secret_access_key=grant.secret_access_key,
            session_token=grant.session_token,
        )
        return uc.GenerateTemporaryTableCredentialResponse(
            aws_temp_credentials=keys, expiration_time=int(grant.ends * 1000), url=url
        )

    def _check_table(self, given: Given) -> None:
        """Raises ApiError for a table that is not an external one in Delta, or whose files are another one's."""
        if given["table_type"] != "EXTERNAL" or given["data_source_format"] != "DELTA":
            raise invalid("Only external tables in format DELTA can be created by this API")
        url = given["storage_location"].rstrip("/")
        self._require_location(url)
        others = [str(table.storage_location).rstrip("/") for table in self._standing["tables"].values()]
        if any(f"{url}/".startswith(f"{other}/") or f"{other}/".startswith(f"{url}/") for other in others):
            message = f"Input path url '{url}' overlaps with other external tables or volumes."
            raise ApiError(400, "LOCATION_OVERLAP", message)

    def _require_location(self, url: str) -> None:
        if not any(f"{url}/".startswith(f"{location}/") for location in self._state.locations.values()):
            raise ApiError(404, "EXTERNAL_LOCATION_DOES_NOT_EXIST", f"No parent external location found for '{url}'")


def _word(kind: str) -> str:
    return kind.replace("-", " ").removesuffix("s").capitalize()


def _code(kind: str) -> str:
    return kind.replace("-", "_").removesuffix("s").upper()
