"""The inventory of Vertex AI: endpoints and jobs that carry our environment's label."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.errors import NotFoundError
from ml_platform.records.inventory import Owned
from resources.gcp import sdk
from resources.gcp.vertex_endpoint import VertexEndpoint

if TYPE_CHECKING:
    from ml_platform.roles.inventory import Inventory

_LABEL = "ml_platform_environment"
_LIVE = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")


class GcpInventory:
    """Asks Vertex AI's listing calls, which look through labels themselves.

    prefix: the environment's, which labels carry. poll_seconds, wait_seconds: for what is being deleted.
    """

    def __init__(
        self,
        prefix: str,
        project: str,
        region: str,
        api_endpoint: str = "",
        poll_seconds: float = 5.0,
        wait_seconds: float = 3600.0,
    ) -> None:
        self._prefix, self._vertex = prefix, sdk.Vertex(project, region, api_endpoint)
        self._poll_seconds, self._wait_seconds = poll_seconds, wait_seconds

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        """As the role promises; of jobs, those that have not ended."""
        served = [
            Owned("endpoint", one.labels.get("ml_platform_endpoint", one.name), one.create_time)
            for one in self._listed("endpoints", self._vertex.endpoints.list_endpoints)
        ]
        going = [
            Owned("job", one.name, one.create_time)
            for one in self._listed("customJobs", self._vertex.jobs.list_custom_jobs)
            if one.state.name in _LIVE
        ]
        return [*sorted(served, key=lambda one: one.name), *sorted(going, key=lambda one: one.name)]

    def remove(self, owned: Owned) -> None:
        """As the role promises."""
        mine = {one.name for one in self._listed("customJobs", self._vertex.jobs.list_custom_jobs)}
        if owned.kind == "endpoint":
            endpoint = VertexEndpoint(self._vertex, self._prefix, owned.name, self._poll_seconds, self._wait_seconds)
            endpoint.delete()
        elif owned.name not in mine:
            raise NotFoundError(
                f"job {owned.name} is to be ended, but environment {self._prefix} has none of that name"
            )
        elif owned.name in {one.name for one in self.found(())}:
            sdk.call("aiplatform.customJobs.cancel", self._vertex.jobs.cancel_custom_job, name=owned.name)
            deadline = time.monotonic() + self._wait_seconds
            while owned.name in {one.name for one in self.found(())} and time.monotonic() < deadline:
                time.sleep(self._poll_seconds)

    def _listed(self, noun: str, method: Callable[..., Any]) -> list[Any]:
        """Everything of a kind with our label."""
        permission = f"aiplatform.{noun}.list"
        wanted = f'labels.{_LABEL}="{self._prefix}"'
        found = sdk.call(permission, method, request={"parent": self._vertex.parent, "filter": wanted})
        with sdk.told(permission):
            return [one for one in found if one.labels.get(_LABEL) == self._prefix]


if TYPE_CHECKING:
    _: type[Inventory] = GcpInventory
