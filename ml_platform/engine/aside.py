"""Rows set aside: files beside the tables, for queries to read while a table is made, gone when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from ml_platform.engine.files import filesystem
from ml_platform.engine.plan import made
from ml_platform.engine.staging import stage, storable
from ml_platform.records.table import Location, StagedFiles, View
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDER = "platform/incoming"


class Aside:
    """A folder of its own. location: where it is."""

    def __init__(self, location: Location, compute: Compute) -> None:
        self._location = location
        self._compute = compute

    def query(self, query: str, inputs: Mapping[str, StagedFiles | View]) -> StagedFiles:
        """The query's rows."""
        return self._compute.stage(query, inputs, self._location, ())

    def view(self, query: str, inputs: Mapping[str, StagedFiles]) -> StagedFiles | View:
        """The query's rows, not staged where reading them again is as good: where a table holds them as they are.

        query: makes every row from one row of the only input, the same each time.
        """
        schema = self._compute.fetch(f"SELECT * FROM {made(query)} LIMIT 0", inputs).schema
        if schema != storable(schema, self._location.key):
            return self.query(query, inputs)
        return View(self._location, schema, query, inputs, sum(files.rows for files in inputs.values()))

    def frame(self, rows: pa.Table) -> StagedFiles:
        """The table's rows."""
        return stage(rows.to_batches(), rows.schema, self._location)


@contextmanager
def set_aside(key: str, lakehouse: Lakehouse, compute: Compute) -> Iterator[Aside]:
    """A folder for what an asset key's table is made of; it is gone afterwards. Errors name the key."""
    name = f"{key.replace('/', '.')}-{uuid4().hex}"
    location = lakehouse.files(f"{_FOLDER}/{name}")
    filesystem(location)
    try:
        yield Aside(Location(key, location.uri, location.storage_options, location.access), compute)
    finally:
        filesystem(lakehouse.files(_FOLDER)).delete_dir(name)
