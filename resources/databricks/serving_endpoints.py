"""The endpoints of Model Serving as a host uses them: found with their tag, configured to the end, asked, deleted."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_platform.errors import BindingError, NotFoundError, ServiceError
from ml_platform.records.job import Needs
from resources.databricks.mlflow_client import require_ours
from resources.databricks.served_model import BODY
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk.service.serving import ServedEntityInput, ServingEndpointDetailed

# A unit of provisioned concurrency is a core and 4 GiB; a size has that many units.
_SIZES = {"Small": 4, "Medium": 16, "Large": 64}
_GIB_A_UNIT = 4
_LONGEST_NAME = 63
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|KEY", re.IGNORECASE)
_REFERENCE = re.compile(r"\{\{secrets/[^/}]+/[^/}]+\}\}")
_SETTLED = "NOT_UPDATING"
_MANAGE, _QUERY = "CAN MANAGE on the serving endpoint", "CAN QUERY on the serving endpoint"


@dataclass(frozen=True)
class Entity:
    """One served entity, as it is to be. model, version: in Unity Catalog. percent: of the traffic."""

    name: str
    model: str
    version: str
    percent: int
    size: str
    scale_to_zero: bool


@dataclass(frozen=True)
class Found:
    """An endpoint of ours as the service shows it.

    entities: name → version of the model that it serves. pending: versions that a change is to bring.
    shares: entity → percentage of the traffic. url: where requests go to.
    """

    ready: bool
    entities: Mapping[str, str]
    pending: Sequence[str]
    shares: Mapping[str, int]
    url: str


def workload_size(needs: Needs) -> str:
    """The smallest size that has what is needed. Raises ServiceError where none has."""
    if needs.accelerator is None:
        for size, units in _SIZES.items():
            if needs.cpu <= units and needs.memory_gib <= units * _GIB_A_UNIT:
                return size
    raise ServiceError(
        f"an endpoint needs {needs.cpu:g} cores, {needs.memory_gib:g} GiB and accelerator {needs.accelerator}, "
        "but no size of Model Serving here has them",
        allowed="The largest, Large, has 64 cores, 256 GiB and no accelerator",
    )


class ServingEndpoints:
    """One environment's endpoints. environment: of the prefix. variables: of the servers."""

    def __init__(
        self,
        workspace: Workspace,
        environment: str,
        variables: Mapping[str, str],
        max_seconds: float,
        poll_seconds: float,
    ) -> None:
        for name, value in variables.items():
            if _SECRET_NAME.search(name) and not _REFERENCE.fullmatch(value):
                raise BindingError(
                    f"endpoint_host.environment.{name} is no reference, but it looks like a secret",
                    allowed="A secret is given as {{secrets/<scope>/<key>}}",
                )
        self._workspace = workspace
        self._environment = environment
        self._variables = dict(variables)
        self._max_seconds = max_seconds
        self._poll_seconds = poll_seconds

    def find(self, name: str) -> Found | None:
        """The endpoint; None where there is none. Raises ServiceError for somebody else's."""
        shown = self._shown(name)
        if shown is None:
            return None
        config, pending = shown.config, shown.pending_config
        entities = (config.served_entities if config else None) or []
        routes = (config.traffic_config.routes if config and config.traffic_config else None) or []
        return Found(
            ready=bool(shown.state and shown.state.ready and shown.state.ready.value == "READY"),
            entities={str(entity.name): str(entity.entity_version) for entity in entities},
            pending=[str(e.entity_version) for e in (pending.served_entities if pending else None) or []],
            shares={str(r.served_entity_name or r.served_model_name): r.traffic_percentage for r in routes},
            url=f"{self._workspace.client.config.host}/serving-endpoints/{name}",
        )

    def configure(self, name: str, entities: Sequence[Entity]) -> None:
        """The service says that the endpoint is as it is to be. Raises ServiceError where it says that it is not."""
        from databricks.sdk.service import serving

        if len(name) > _LONGEST_NAME:
            raise ServiceError(f"the endpoint {name} has {len(name)} characters, but Databricks takes {_LONGEST_NAME}")
        served = [self._input(entity) for entity in entities]
        traffic = serving.TrafficConfig([serving.Route(e.percent, served_model_name=e.name) for e in entities])
        if self._shown(name) is None:
            config = serving.EndpointCoreConfigInput(served_entities=served, traffic_config=traffic)
            tags = [serving.EndpointTag(ENVIRONMENT, self._environment)]
            self._workspace.ask(
                f"the endpoint {name}",
                "the right to create serving endpoints",
                lambda client: client.serving_endpoints.create(name, config=config, tags=tags),
            )
        else:
            self._workspace.ask(
                f"the configuration of endpoint {name}",
                _MANAGE,
                lambda client: client.serving_endpoints.update_config(
                    name, served_entities=served, traffic_config=traffic
                ),
            )
        update = self.settled(name)
        if update != _SETTLED:
            said = self._said(name, entities)
            raise ServiceError(f"the change of endpoint {name} is {update}, but it was to serve: {said}")

    def settled(self, name: str) -> str:
        """How the last change of the endpoint has ended, whoever made it: it is waited for; empty without an endpoint.

        Raises ServiceError where it takes longer than is waited for.
        """
        deadline = time.monotonic() + self._max_seconds
        while time.monotonic() < deadline:
            shown = self._shown(name)
            if shown is None:
                return ""
            update = shown.state.config_update if shown.state else None
            if update and update.value != "IN_PROGRESS":
                return update.value
            time.sleep(self._poll_seconds)
        raise ServiceError(
            f"the change of endpoint {name} is not done after {self._max_seconds:g} seconds, but it was to serve",
            remedy="Look at its events in Databricks, or raise endpoint_host.max_seconds",
        )

    def invoke(self, name: str, entity: str, body: str) -> str:
        """The one string that answers the body. entity: who is asked; empty for whoever the routes choose."""
        path = f"/serving-endpoints/{name}{f'/served-models/{entity}' if entity else ''}/invocations"
        rows = {"dataframe_split": {"columns": [BODY], "data": [[body]]}}
        answer = self._workspace.do("POST", path, _QUERY, rows)
        return str(answer["predictions"][0])

    def delete(self, name: str) -> None:
        """There is no endpoint of that name; idempotent. Raises ServiceError for somebody else's."""
        if self._shown(name) is None:
            return
        try:
            self._workspace.ask(f"the endpoint {name}", _MANAGE, lambda client: client.serving_endpoints.delete(name))
        except NotFoundError:
            return

    def _shown(self, name: str) -> ServingEndpointDetailed | None:
        try:
            shown = self._workspace.ask(
                f"the endpoint {name}", "CAN VIEW on it", lambda client: client.serving_endpoints.get(name)
            )
        except NotFoundError:
            return None
        require_ours(f"endpoint {name}", {tag.key: str(tag.value) for tag in shown.tags or []}, self._environment)
        return shown

    def _said(self, name: str, entities: Sequence[Entity]) -> str:
        """The last words of the servers that did not come up."""
        lines: list[str] = []
        for entity in entities:
            logs = self._workspace.ask(
                f"the logs of endpoint {name}",
                _MANAGE,
                lambda client, entity=entity: client.serving_endpoints.logs(name, entity.name),  # type: ignore[misc]
            ).logs
            lines += (logs or "").strip().splitlines()[-1:]
        return " ".join(lines) or "its servers have said nothing"

    def _input(self, entity: Entity) -> ServedEntityInput:
        from databricks.sdk.service.serving import ServedEntityInput

        fields: dict[str, Any] = {"environment_vars": self._variables} if self._variables else {}
        return ServedEntityInput(
            name=entity.name,
            entity_name=entity.model,
            entity_version=entity.version,
            workload_size=entity.size,
            scale_to_zero_enabled=entity.scale_to_zero,
            **fields,
        )
