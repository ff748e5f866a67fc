"""Endpoints: deployed models that really serve, and the traffic between them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value

from ml_platform.testing.faults import Faults
from resources.gcp.testing.vertex_containers import Containers
from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_models import Models
from resources.gcp.testing.vertex_operations import Operations
from resources.gcp.testing.vertex_resources import check, check_id, check_machine, copied, found, now, page
from resources.gcp.testing.vertex_server import Server

_CHANGED = {"display_name", "description", "labels", "traffic_split"}


class Endpoints:
    """The endpoints of every project and location, and the servers of the models that are deployed to them."""

    def __init__(self, operations: Operations, models: Models, containers: Containers, faults: Faults) -> None:
        self._operations = operations
        self._models = models
        self._containers = containers
        self._faults = faults
        self._endpoints: dict[str, Any] = {}
        self._servers: dict[str, Server] = {}
        self._numbers = itertools.count(3000)

    async def create_endpoint(self, request: Any) -> Message:
        """The operation by which the endpoint comes to be, empty."""
        endpoint = request.endpoint
        check(endpoint)
        check_id("endpoint_id", request.endpoint_id)
        if endpoint.deployed_models or endpoint.traffic_split:
            raise VertexError("INVALID_ARGUMENT", "A new endpoint has no deployed models and no traffic_split.")
        endpoint.name = f"{request.parent}/endpoints/{request.endpoint_id or next(self._numbers)}"
        if endpoint.name in self._endpoints:
            raise VertexError("ALREADY_EXISTS", f"The Endpoint {endpoint.name!r} already exists.")
        endpoint.create_time.CopyFrom(now())
        self._endpoints[endpoint.name] = endpoint
        return self._begin(endpoint.name, "CreateEndpointOperationMetadata", _same(endpoint))

    async def get_endpoint(self, request: Any) -> Message:
        """The endpoint as it stands."""
        return copied(found(self._endpoints, request.name))

    async def list_endpoints(self, request: Any) -> Message:
        """A page of them."""
        endpoints, token = page(self._endpoints.values(), request)
        return aiplatform_v1.ListEndpointsResponse.pb()(endpoints=endpoints, next_page_token=token)

    async def update_endpoint(self, request: Any) -> Message:
        """The endpoint with what the mask names changed."""
        endpoint, wanted = found(self._endpoints, request.endpoint.name), copied(request.endpoint)
        unknown = set(request.update_mask.paths) - _CHANGED
        if unknown or not request.update_mask.paths:
            raise VertexError("INVALID_ARGUMENT", f"update_mask cannot have {sorted(unknown) or 'nothing'}.")
        if "traffic_split" in request.update_mask.paths:
            _check_split(endpoint, wanted.traffic_split)
            if self._faults.take("rolled_back"):
                wanted.traffic_split.clear()
                wanted.traffic_split.update(endpoint.traffic_split)
        draft = copied(endpoint)
        for field in request.update_mask.paths:
            draft.ClearField(field)
        kept = {field.name for field, _ in wanted.ListFields()} - set(request.update_mask.paths)
        for field in kept:
            wanted.ClearField(field)
        draft.MergeFrom(wanted)
        check(draft)
        endpoint.CopyFrom(draft)
        endpoint.update_time.CopyFrom(now())
        return copied(endpoint)

    async def delete_endpoint(self, request: Any) -> Message:
        """The operation by which the endpoint goes; refused while a model is deployed to it."""
        if found(self._endpoints, request.name).deployed_models:
            raise VertexError("FAILED_PRECONDITION", f"The Endpoint {request.name!r} has deployed models.")
        return self._begin(request.name, "DeleteOperationMetadata", self._deleted(request.name))

    async def deploy_model(self, request: Any) -> Message:
        """The operation by which a model comes to be served, and, where a split is given, gets traffic."""
        endpoint, deployed = found(self._endpoints, request.endpoint), request.deployed_model
        model = self._models.version(deployed.model)
        if not deployed.HasField("dedicated_resources"):
            raise VertexError("INVALID_ARGUMENT", "deployed_model.dedicated_resources is required for this model.")
        check_machine(deployed.dedicated_resources.machine_spec)
        if deployed.dedicated_resources.min_replica_count < 1:
            raise VertexError("INVALID_ARGUMENT", "dedicated_resources.min_replica_count must be at least 1.")
        deployed.id = str(next(self._numbers))
        if request.traffic_split:
            _check_split(endpoint, request.traffic_split, "0")
        work = self._deployed(endpoint, deployed, model, dict(request.traffic_split))
        return self._begin(endpoint.name, "DeployModelOperationMetadata", work)

    async def undeploy_model(self, request: Any) -> Message:
        """The operation by which a model is no longer served; refused while it has traffic."""
        endpoint = found(self._endpoints, request.endpoint)
        going = request.deployed_model_id
        deployed = found({one.id: one for one in endpoint.deployed_models}, going)
        split = dict(request.traffic_split or endpoint.traffic_split)
        rest = [one for one in endpoint.deployed_models if one.id != going]
        if rest and split.get(going):
            raise VertexError("FAILED_PRECONDITION", f"The DeployedModel {going} has traffic; give it to others first.")
        if rest and request.traffic_split:
            _check_split(endpoint, request.traffic_split)
        work = self._undeployed(endpoint, deployed, split if rest else {})
        return self._begin(endpoint.name, "UndeployModelOperationMetadata", work)

    async def predict(self, request: Any) -> Message:
        """The predictions of one of the deployed models, drawn by the traffic split."""
        endpoint = found(self._endpoints, request.endpoint)
        if not endpoint.traffic_split:
            raise VertexError("FAILED_PRECONDITION", f"The Endpoint {endpoint.name!r} has no traffic_split.")
        ids, shares = zip(*endpoint.traffic_split.items(), strict=True)
        chosen = random.choices(ids, shares)[0]  # noqa: S311 - a draw, not a secret
        deployed = next(one for one in endpoint.deployed_models if one.id == chosen)
        predictions = await self._servers[chosen].predict(request)
        return aiplatform_v1.PredictResponse.pb()(
            predictions=[json_format.ParseDict(prediction, Value()) for prediction in predictions],
            deployed_model_id=chosen,
            model=deployed.model,
            model_version_id=deployed.model_version_id,
            model_display_name=deployed.display_name,
        )

    def _begin(self, of: str, metadata: str, work: Any) -> Message:
        message: Message = self._operations.begin(of, getattr(aiplatform_v1, metadata).pb()(), work)
        return message

    async def _deployed(self, endpoint: Any, deployed: Any, model: Any, split: Mapping[str, int]) -> Message:
        server = Server.start(self._containers, model, endpoint.name, deployed.id)
        await server.ready(healthy=not self._faults.take("unhealthy"))
        self._servers[deployed.id] = server
        deployed.model, deployed.model_version_id = model.name, model.version_id
        deployed.create_time.CopyFrom(now())
        endpoint.deployed_models.append(deployed)
        model.deployed_models.add(endpoint=endpoint.name, deployed_model_id=deployed.id)
        if split and not self._faults.take("rolled_back"):
            _set_split(endpoint, {deployed.id if key == "0" else key: share for key, share in split.items()})
        return aiplatform_v1.DeployModelResponse.pb()(deployed_model=deployed)

    async def _undeployed(self, endpoint: Any, deployed: Any, split: Mapping[str, int]) -> Message:
        _set_split(endpoint, {key: share for key, share in split.items() if key != deployed.id})
        model = self._models.version(f"{deployed.model}@{deployed.model_version_id}")
        for references, gone in (
            (model.deployed_models, [one for one in model.deployed_models if one.deployed_model_id == deployed.id]),
            (endpoint.deployed_models, [deployed]),
        ):
            for one in gone:
                references.remove(one)
        await self._servers.pop(gone[0].id).end()
        return aiplatform_v1.UndeployModelResponse.pb()()

    async def _deleted(self, name: str) -> Message:
        self._endpoints.pop(name, None)
        return Empty()


async def _same(endpoint: Any) -> Message:
    return copied(endpoint)


def _check_split(endpoint: Any, split: Mapping[str, int], new: str = "") -> None:
    known = {one.id for one in endpoint.deployed_models} | ({new} if new else set())
    if not set(split) <= known:
        raise VertexError(
            "INVALID_ARGUMENT", f"traffic_split names {sorted(set(split) - known)}, which is not deployed."
        )
    if sum(split.values()) != 100 or min(split.values()) < 0:
        raise VertexError("INVALID_ARGUMENT", "The values of traffic_split must be 0 or more and add up to 100.")


def _set_split(endpoint: Any, split: Mapping[str, int]) -> None:
    endpoint.traffic_split.clear()
    endpoint.traffic_split.update(split)
