"""The inventory of a Databricks workspace: serving endpoints and runs that carry our environment's tag."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_platform.records.inventory import Owned
from resources.databricks.runs import Runs
from resources.databricks.serving_endpoints import ServingEndpoints
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from ml_platform.roles.inventory import Inventory


class DatabricksInventory:
    """Asks the workspace's listing calls, and the tags of what they list.

    prefix: the environment's, which names and tags carry. poll_seconds: between two looks at what is being ended.
    """

    def __init__(self, prefix: str, poll_seconds: float = 5.0) -> None:
        self._prefix, self._workspace = prefix, Workspace()
        self._runs = Runs(self._workspace, prefix, poll_seconds)
        self._endpoints = ServingEndpoints(self._workspace, prefix, {}, 0, poll_seconds)

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        """As the role promises; of jobs, the runs that have not ended."""
        listed = self._workspace.ask(
            "serving-endpoints", "CAN VIEW on them", lambda client: list(client.serving_endpoints.list())
        )
        served = [
            Owned("endpoint", str(one.name).removeprefix(f"{self._prefix}-"), _moment(one.creation_timestamp))
            for one in listed
            if any((tag.key, tag.value) == (ENVIRONMENT, self._prefix) for tag in one.tags or [])
        ]
        going = [Owned("job", str(run.run_id), _moment(run.start_time)) for run in self._runs.live()]
        return [*sorted(served, key=lambda one: one.name), *sorted(going, key=lambda one: one.name)]

    def remove(self, owned: Owned) -> None:
        """As the role promises; versions of a served model stay, for they cost next to nothing and number the next."""
        if owned.kind == "job":
            return self._runs.cancel(owned.name)
        return self._endpoints.delete(f"{self._prefix}-{owned.name}")


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


if TYPE_CHECKING:
    _: type[Inventory] = DatabricksInventory
