"""The embedded inventory: the state that the embedded services of one environment keep on this machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.errors import NotFoundError
from ml_platform.records.inventory import Owned
from resources.embedded.endpoint_host import EmbeddedEndpointHost
from resources.embedded.job_runner import EmbeddedJobRunner

if TYPE_CHECKING:
    from ml_platform.roles.inventory import Inventory

_LIVE = ("pending", "running")


class EmbeddedInventory:
    """What stands in the folders of the embedded services.

    endpoints, jobs: the homes of the endpoint host and of the job runner. features: the feature store's file.
    prefix: the environment's.
    """

    def __init__(self, endpoints: str, jobs: str, features: str, prefix: str) -> None:
        self._host, self._folders = EmbeddedEndpointHost(endpoints, prefix), Path(endpoints).absolute() / prefix
        self._jobs, self._runner = Path(jobs).absolute(), EmbeddedJobRunner(jobs)
        self._features = Path(features).absolute()

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        """As the role promises."""
        served = [
            Owned("endpoint", name, _written(self._folder(name) / "state.json")) for name in self._host.endpoints()
        ]
        going = [
            Owned("job", path.name, _written(path / "spec.json"))
            for path in sorted(record.parent for record in self._jobs.glob("*/status.json"))
            if self._runner.status(path.name).state in _LIVE
        ]
        return [*served, *going, *(Owned("view", name) for name in self._views())]

    def remove(self, owned: Owned) -> None:
        """As the role promises. A job keeps its folder, a view loses its rows and its name."""
        if owned.kind == "job":
            self._runner.cancel(owned.name)
        elif owned.kind == "endpoint":
            if not self._folder(owned.name).exists():
                raise NotFoundError(f"endpoint {owned.name} is to be removed, but this environment never had it")
            self._host.retire(owned.name)
        else:
            self._remove_view(owned.name)

    def _folder(self, endpoint: str) -> Path:
        return self._folders.with_name(f"{self._folders.name}-{endpoint}")

    def _views(self) -> list[str]:
        if not self._features.exists():
            return []
        with closing(sqlite3.connect(f"{self._features.as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = '__views'").fetchone() is None:
                return []
            return [name for (name,) in connection.execute("SELECT name FROM __views ORDER BY name")]

    def _remove_view(self, name: str) -> None:
        if name not in self._views():
            return
        with closing(sqlite3.connect(f"{self._features.as_uri()}?mode=rw", uri=True)) as connection, connection:
            quoted = name.replace('"', '""')
            connection.execute(f'DROP TABLE IF EXISTS "{quoted}"')
            connection.execute("DELETE FROM __views WHERE name = ?", (name,))


def _written(path: Path) -> datetime:
    """When the file was last written."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


if TYPE_CHECKING:
    _: type[Inventory] = EmbeddedInventory
