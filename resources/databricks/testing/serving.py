"""The stand-in's Model Serving: endpoints whose configurations change behind their back, and that really answer."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from databricks.sdk.service.serving import ServingEndpointsAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resources.databricks.testing.protocol import ApiError, Given, call, invalid
from resources.databricks.testing.served_entity import EntityServer
from resources.databricks.testing.state import State

_API = "/api/2.0/serving-endpoints"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_SIZES = ("Small", "Medium", "Large")
_MOST_ENTITIES = 10


@dataclass
class Configuration:
    """What an endpoint serves, or is to: entities as the API was told them, and the percentage of traffic of each."""

    version: int
    entities: Sequence[Mapping[str, Any]]
    routes: Mapping[str, int]
    servers: dict[str, EntityServer] = field(default_factory=dict)
    deployment: str = "DEPLOYMENT_CREATING"
    message: str = ""

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        state = {"deployment": self.deployment, "deployment_state_message": self.message}
        routes = [{"served_model_name": name, "traffic_percentage": share} for name, share in self.routes.items()]
        return {
            "config_version": self.version,
            "served_entities": [{**entity, "state": state} for entity in self.entities],
            "traffic_config": {"routes": routes},
        }


@dataclass
class Endpoint:
    """One endpoint. update: the state of its last change. logs: of servers that are gone, by entity."""

    name: str
    tags: Sequence[Mapping[str, str]]
    config: Configuration | None = None
    pending: Configuration | None = None
    update: str = "IN_PROGRESS"
    logs: dict[str, str] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time() * 1000))

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        ready = "READY" if self.config else "NOT_READY"
        shown: dict[str, Any] = {"name": self.name, "id": self.name, "tags": list(self.tags)}
        shown["creation_timestamp"] = self.created
        shown |= {"state": {"ready": ready, "config_update": self.update}}
        configurations = {"config": self.config, "pending_config": self.pending}
        return shown | {name: found.shown() for name, found in configurations.items() if found}


def routes(state: State) -> list[Route]:
    """Every route of endpoints, and of their invocations."""
    endpoints = Endpoints(state)
    state.closing.append(endpoints.end)
    invoked = ["/serving-endpoints/{name}/invocations", "/serving-endpoints/{name}/served-models/{served}/invocations"]
    return [
        call("POST", _API, ServingEndpointsAPI.create, endpoints.create),
        call("GET", _API, ServingEndpointsAPI.list, endpoints.listed),
        call("GET", f"{_API}/{{name}}", ServingEndpointsAPI.get, endpoints.get),
        call("DELETE", f"{_API}/{{name}}", ServingEndpointsAPI.delete, endpoints.delete),
        call("PUT", f"{_API}/{{name}}/config", ServingEndpointsAPI.update_config, endpoints.update_config),
        call(
            "GET",
            f"{_API}/{{name}}/served-models/{{served_model_name}}/logs",
            ServingEndpointsAPI.logs,
            endpoints.logs,
        ),
        *(Route(path, endpoints.invoke, methods=["POST"]) for path in invoked),
    ]


class Endpoints:
    """All endpoints of a workspace, and the threads that change them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = Lock()

    def create(self, given: Given) -> dict[str, Any]:
        """An endpoint that begins to come up."""
        name, config = given["name"], given.get("config") or {}
        if not _NAME.fullmatch(name):
            raise invalid(f"Endpoint name {name!r} is not alphanumeric with dashes and underscores, or is too long")
        with self._lock:
            if name in self._endpoints:
                raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Endpoint with name '{name}' already exists.")
            endpoint = Endpoint(name, given.get("tags") or [])
            self._begin(endpoint, config)
            self._endpoints[name] = endpoint
        return endpoint.shown()

    def update_config(self, given: Given) -> dict[str, Any]:
        """The endpoint begins to change; it serves on as it was meanwhile."""
        endpoint = self._found(given["name"])
        with self._lock:
            if endpoint.pending:
                raise ApiError(409, "RESOURCE_CONFLICT", f"Endpoint {endpoint.name} has an update in progress")
            self._begin(endpoint, given)
        return endpoint.shown()

    def get(self, given: Given) -> dict[str, Any]:
        """The endpoint."""
        return self._found(given["name"]).shown()

    def listed(self, given: Given) -> dict[str, Any]:
        """All endpoints."""
        return {"endpoints": [endpoint.shown() for endpoint in self._endpoints.values()]}

    def delete(self, given: Given) -> None:
        """The endpoint is gone, and its servers end."""
        endpoint = self._found(given["name"])
        del self._endpoints[endpoint.name]
        for config in (endpoint.config, endpoint.pending):
            for server in config.servers.values() if config else ():
                server.end()

    def logs(self, given: Given) -> dict[str, Any]:
        """What a server of the endpoint has printed."""
        endpoint, entity = self._found(given["name"]), given["served_model_name"]
        server = next((c.servers.get(entity) for c in (endpoint.pending, endpoint.config) if c), None)
        return {"logs": server.output() if server else endpoint.logs.get(entity, "")}

    async def invoke(self, request: Request) -> Response:
        """The answer of the entity that was named, or of one by the traffic's percentages."""
        endpoint = self._found(request.path_params["name"])
        config = endpoint.config
        if config is None:
            raise ApiError(400, "BAD_REQUEST", f"Endpoint {endpoint.name} is not ready")
        served = request.path_params.get("served")
        if served is None:
            served = random.choices([*config.routes], [*config.routes.values()])[0]  # noqa: S311 - as the service does
        if served not in config.servers:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The served entity {served} does not exist")
        kind = request.headers.get("content-type", "")
        answer = await run_in_threadpool(config.servers[served].invoke, await request.body(), kind)
        headers = {"served-model-name": served}
        return Response(answer.content, answer.status_code, headers, media_type="application/json")

    def end(self) -> None:
        """No server runs."""
        for name in list(self._endpoints):
            self.delete({"name": name})

    def _found(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"The endpoint '{name}' does not exist.")
        return self._endpoints[name]

    def _begin(self, endpoint: Endpoint, config: Mapping[str, Any]) -> None:
        entities = config.get("served_entities") or []
        self._check(entities)
        shares = _shares(entities, (config.get("traffic_config") or {}).get("routes") or [])
        last = endpoint.config.version if endpoint.config else 0
        endpoint.pending = Configuration(last + 1, entities, shares)
        endpoint.update = "IN_PROGRESS"
        Thread(target=self._change, args=(endpoint, endpoint.pending), daemon=True).start()

    def _check(self, entities: Sequence[Mapping[str, Any]]) -> None:
        names = [entity.get("name") for entity in entities]
        if not entities or len(entities) > _MOST_ENTITIES or len({*names}) != len(names) or None in names:
            raise invalid(f"An endpoint has 1 to {_MOST_ENTITIES} served entities, each of a name of its own")
        for entity in entities:
            if not _NAME.fullmatch(entity["name"]):
                raise invalid(f"Invalid served entity name: {entity['name']!r}")
            if entity.get("workload_size") not in _SIZES or entity.get("scale_to_zero_enabled") is None:
                raise invalid(f"{entity['name']} needs workload_size of {_SIZES} and scale_to_zero_enabled")
            self._state.models.location(  # type: ignore[union-attr]
                entity.get("entity_name") or "", entity.get("entity_version") or ""
            )
            self._state.environment(entity.get("environment_vars") or {})

    def _change(self, endpoint: Endpoint, pending: Configuration) -> None:
        """The change of an endpoint, to its end."""
        failed = self._started(endpoint, pending)
        old = endpoint.config
        rolled_back = old is not None and not failed and self._state.faults.take("rolled_back")
        stays = failed or rolled_back
        with self._lock:
            endpoint.update = "UPDATE_FAILED" if failed else "NOT_UPDATING"
            pending.deployment = "DEPLOYMENT_FAILED" if failed else "DEPLOYMENT_READY"
            endpoint.pending = None
            if not stays:
                endpoint.config = pending
        if failed and old is None:
            endpoint.logs |= {name: server.output() for name, server in pending.servers.items()}
        gone, kept = (pending, old) if stays else (old, pending)
        standing = list(kept.servers.values()) if kept else []
        for name, server in gone.servers.items() if gone else ():
            if server not in standing:
                endpoint.logs[name] = server.output()
                server.end()

    def _started(self, endpoint: Endpoint, pending: Configuration) -> bool:
        """Whether a server of the configuration did not become ready; one that serves the same already is kept."""
        time.sleep(0.2)
        if self._state.faults.take("unhealthy"):
            pending.message = "The container did not become healthy in time"
            return True
        running = {str(server.given): server for server in endpoint.config.servers.values()} if endpoint.config else {}
        for entity in pending.entities:
            server = running.get(str(dict(entity))) or EntityServer(self._state, entity)
            pending.servers[entity["name"]] = server
        ready = [server.becomes_ready() for server in pending.servers.values()]
        pending.message = "" if all(ready) else "The container ended before it was ready; see its logs"
        return not all(ready)


def _shares(entities: Sequence[Mapping[str, Any]], routes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Served entity → its percentage of the traffic. Raises ApiError for routes that cannot be."""
    names = [entity["name"] for entity in entities]
    if not routes and len(names) == 1:
        return {names[0]: 100}
    named = [(str(r.get("served_entity_name") or r.get("served_model_name")), r["traffic_percentage"]) for r in routes]
    found = {name: percent for name, percent in named if name in names}
    if len(found) != len(routes) or sum(found.values()) != 100 or min(found.values(), default=-1) < 0:
        raise invalid("Traffic percentages are of the endpoint's own served entities, and sum to 100")
    return found
