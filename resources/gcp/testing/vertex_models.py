"""Models: registered containers and the files that they serve, in numbered versions."""

from __future__ import annotations

import itertools
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_operations import Operations
from resources.gcp.testing.vertex_resources import check, check_id, copied, found, now, page


class Models:
    """The models of every project and location; a name without a version means the last one."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._versions: dict[str, list[Any]] = {}
        self._numbers = itertools.count(2000)

    def version(self, name: str) -> Any:
        """The version that `name` or `name@version` names. Raises VertexError where there is none."""
        plain, _, wanted = name.partition("@")
        versions = found(self._versions, plain)
        if wanted in ("", "default"):
            return versions[-1]
        return found({f"{plain}@{version.version_id}": version for version in versions}, name)

    async def upload_model(self, request: Any) -> Message:
        """The operation by which the model is registered."""
        model = request.model
        check(model)
        check_id("model_id", request.model_id)
        if not model.container_spec.image_uri:
            raise VertexError("INVALID_ARGUMENT", "container_spec.image_uri must not be empty.")
        if model.artifact_uri and not model.artifact_uri.startswith("gs://"):
            raise VertexError("INVALID_ARGUMENT", f"artifact_uri {model.artifact_uri!r} is not a Cloud Storage path.")
        if request.parent_model:
            found(self._versions, request.parent_model)
        name = request.parent_model or f"{request.parent}/models/{request.model_id or next(self._numbers)}"
        if not request.parent_model and name in self._versions:
            raise VertexError("ALREADY_EXISTS", f"The Model {name!r} already exists.")
        model.name = name
        return self._operations.begin(name, aiplatform_v1.UploadModelOperationMetadata.pb()(), self._uploaded(model))

    async def get_model(self, request: Any) -> Message:
        """The version that is named."""
        return copied(self.version(request.name))

    async def list_models(self, request: Any) -> Message:
        """A page of the last versions."""
        models, token = page([versions[-1] for versions in self._versions.values()], request)
        return aiplatform_v1.ListModelsResponse.pb()(models=models, next_page_token=token)

    async def list_model_versions(self, request: Any) -> Message:
        """All versions of a model."""
        return aiplatform_v1.ListModelVersionsResponse.pb()(models=found(self._versions, request.name))

    async def delete_model(self, request: Any) -> Message:
        """The operation by which the model goes, with all its versions; refused while one is deployed."""
        if any(version.deployed_models for version in found(self._versions, request.name)):
            raise VertexError("FAILED_PRECONDITION", f"The Model {request.name!r} is deployed; undeploy it first.")
        return self._operations.begin(
            request.name, aiplatform_v1.DeleteOperationMetadata.pb()(), self._deleted(request.name)
        )

    async def _uploaded(self, model: Any) -> Message:
        versions = self._versions.setdefault(model.name, [])
        model.version_id = str(len(versions) + 1)
        model.create_time.CopyFrom(now())
        model.update_time.CopyFrom(now())
        resources = aiplatform_v1.Model.DeploymentResourcesType
        model.supported_deployment_resources_types.append(resources.DEDICATED_RESOURCES)
        versions.append(model)
        return aiplatform_v1.UploadModelResponse.pb()(model=model.name, model_version_id=model.version_id)

    async def _deleted(self, name: str) -> Message:
        self._versions.pop(name, None)
        return Empty()
