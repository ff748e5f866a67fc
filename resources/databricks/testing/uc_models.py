"""The registered models of the stand-in's Unity Catalog: versions, aliases and tags, answered proto by proto."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlflow.protos import databricks_uc_registry_messages_pb2 as uc

from resources.databricks.testing.protocol import ApiError
from resources.databricks.testing.state import State

_LIMITS = {"key": 255, "value": 1000, "tags": 50}
_NOT_IN_KEYS = re.compile(r"[.,\-=/:]")
_SEARCH = re.compile(r"""(name|run_id)\s*=\s*['"]([^'"]+)['"]""")
_PAGE = 100


@dataclass
class _Model:
    info: uc.RegisteredModel
    versions: dict[str, uc.ModelVersion] = field(default_factory=dict)
    last: int = 0


class UcModels:
    """Answers every method of MLflow's `UcModelRegistryService` that a registry of models has, by its name.

    The files of versions stand in the workspace's object store, for which it lends credentials.
    """

    def __init__(self, state: State) -> None:
        self._root = f"s3://{state.store.settings['bucket']}/unity-catalog"
        self._lend = state.lend
        self._store = object_store(state)
        self._models: dict[str, _Model] = {}

    def answer(self, method: str, request: Any) -> dict[str, Any]:
        """The fields of the method's response. Raises ApiError as the service refuses."""
        handler = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower(), None)
        if handler is None:
            raise ApiError(501, "NOT_IMPLEMENTED", f"{method} is not part of this stand-in")
        return handler(request) or {}

    def location(self, name: str, version: str) -> str:
        """Where the files of a version are. Raises ApiError where there is no such version, or it is not ready."""
        found = self._version(name, version)
        if found.status != uc.READY:
            raise ApiError(400, "INVALID_STATE", f"Model version {name}/{version} is not READY")
        return str(found.storage_location)

    def create_registered_model(self, request: Any) -> dict[str, Any]:
        """A model of a three-level name that is not taken."""
        if len([part for part in request.name.split(".") if part]) != 3 or re.search(r"[\s/]", request.name):
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", f"Invalid model name {request.name}: specify all three levels"
            )
        if request.name in self._models:
            raise ApiError(409, "RESOURCE_ALREADY_EXISTS", f"Registered model '{request.name}' already exists")
        info = uc.RegisteredModel(name=request.name, description=request.description, creation_timestamp=_now())
        self._models[request.name] = _Model(info)
        for tag in request.tags:
            _set_tag(info.tags, uc.RegisteredModelTag(key=tag.key, value=tag.value))
        return {"registered_model": info}

    def get_registered_model(self, request: Any) -> dict[str, Any]:
        """The model with its tags and aliases."""
        return {"registered_model": self._model(request.name).info}

    def search_registered_models(self, request: Any) -> dict[str, Any]:
        """A page of all models, without their tags and aliases."""
        first = int(request.page_token or 0)
        end = first + min(request.max_results or _PAGE, _PAGE)
        found = list(self._models)
        bare = [uc.RegisteredModel(name=name) for name in found[first:end]]
        return {"registered_models": bare, "next_page_token": str(end) if end < len(found) else ""}

    def delete_registered_model(self, request: Any) -> None:
        """The model is gone, its versions with it."""
        self._model(request.name)
        del self._models[request.name]

    def set_registered_model_tag(self, request: Any) -> None:
        """The model has the tag."""
        _set_tag(self._model(request.name).info.tags, uc.RegisteredModelTag(key=request.key, value=request.value))

    def create_model_version(self, request: Any) -> dict[str, Any]:
        """A version that waits for its files, numbered on from the last one that the model ever had."""
        model = self._model(request.name)
        model.last += 1
        version = uc.ModelVersion(
            name=request.name,
            version=str(model.last),
            source=request.source,
            run_id=request.run_id,
            model_id=request.model_id,
            run_tracking_server_id=request.run_tracking_server_id,
            status=uc.PENDING_REGISTRATION,
            creation_timestamp=_now(),
            storage_location=f"{self._root}/models/{uuid.uuid4()}",
        )
        for tag in request.tags:
            _set_tag(version.tags, tag)
        model.versions[version.version] = version
        return {"model_version": version}

    def finalize_model_version(self, request: Any) -> dict[str, Any]:
        """The version is ready; its files do not change any more."""
        version = self._version(request.name, request.version)
        bucket, _, key = version.storage_location.removeprefix("s3://").partition("/")
        if not self._store.list_objects_v2(Bucket=bucket, Prefix=f"{key}/MLmodel", MaxKeys=1).get("Contents"):
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"{request.name}/{request.version} has no MLmodel file")
        version.status = uc.READY
        return {"model_version": version}

    def get_model_version(self, request: Any) -> dict[str, Any]:
        """The version with its tags and aliases."""
        return {"model_version": self._version(request.name, request.version)}

    def delete_model_version(self, request: Any) -> None:
        """The version is gone, and what named it."""
        self._version(request.name, request.version)
        model = self._models[request.name]
        del model.versions[request.version]
        _keep(model.info.aliases, lambda alias: alias.version != request.version)

    def search_model_versions(self, request: Any) -> dict[str, Any]:
        """A page of the versions of one model, or of one run; without their tags and aliases, as the service has it."""
        asked = _SEARCH.fullmatch(request.filter.strip())
        if not asked:
            raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Unsupported filter: {request.filter!r}")
        if asked[1] == "name":
            self._model(asked[2])
        found = [v for m in self._models.values() for v in m.versions.values() if getattr(v, asked[1]) == asked[2]]
        first = int(request.page_token or 0)
        end = first + min(request.max_results or _PAGE, _PAGE)
        bare = []
        for version in found[first:end]:
            copy = uc.ModelVersion()
            copy.CopyFrom(version)
            copy.ClearField("tags")
            copy.ClearField("aliases")
            bare.append(copy)
        return {"model_versions": bare, "next_page_token": str(end) if end < len(found) else ""}

    def set_model_version_tag(self, request: Any) -> None:
        """The version has the tag."""
        version = self._version(request.name, request.version)
        _set_tag(version.tags, uc.ModelVersionTag(key=request.key, value=request.value))

    def delete_model_version_tag(self, request: Any) -> None:
        """The version does not have the tag."""
        _keep(self._version(request.name, request.version).tags, lambda tag: tag.key != request.key)

    def set_registered_model_alias(self, request: Any) -> None:
        """The alias names that version, and no other."""
        target = self._version(request.name, request.version)
        self.delete_registered_model_alias(request)
        alias = uc.RegisteredModelAlias(alias=request.alias, version=request.version)
        self._model(request.name).info.aliases.append(alias)
        target.aliases.append(alias)

    def delete_registered_model_alias(self, request: Any) -> None:
        """The alias names nothing."""
        model = self._model(request.name)
        holders: list[Any] = [model.info, *model.versions.values()]
        for holder in holders:
            _keep(holder.aliases, lambda alias: alias.alias != request.alias)

    def get_model_version_by_alias(self, request: Any) -> dict[str, Any]:
        """The version that the alias names."""
        for alias in self._model(request.name).info.aliases:
            if alias.alias == request.alias:
                return {"model_version": self._version(request.name, alias.version)}
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Alias '{request.alias}' does not exist.")

    def get_model_version_download_uri(self, request: Any) -> dict[str, Any]:
        """Where the version's files are."""
        return {"artifact_uri": self._version(request.name, request.version).storage_location}

    def generate_temporary_model_version_credentials(self, request: Any) -> dict[str, Any]:
        """Credentials of the store that has the version's files; to write only until it is ready."""
        version = self._version(request.name, request.version)
        write = request.operation == uc.MODEL_VERSION_OPERATION_READ_WRITE
        if write and version.status == uc.READY:
            raise ApiError(403, "PERMISSION_DENIED", "Files of a model version that is READY cannot be written")
        grant = self._lend(version.storage_location, write)
        keys = uc.AwsCredentials(
            access_key_id=grant.access_key_id,
            secret_access_key=grant.secret_access_key,
            session_token=grant.session_token,
        )
        return {
            "credentials": uc.TemporaryCredentials(
                expiration_time=int(grant.ends * 1000), storage_mode=uc.CUSTOMER_HOSTED, aws_temp_credentials=keys
            )
        }

    def is_databricks_sdk_models_artifact_repository_enabled(self, request: Any) -> dict[str, Any]:
        """That clients ask for credentials of the store instead."""
        return {"is_databricks_sdk_models_artifact_repository_enabled": False}

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")
        return self._models[name]

    def _version(self, name: str, number: str) -> Any:
        versions = self._model(name).versions
        if number not in versions:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Model version '{name}/{number}' does not exist.")
        return versions[number]


def object_store(state: State) -> Any:
    """A client of the store beneath the workspace."""
    import boto3

    return boto3.client(
        "s3",
        region_name=state.store.settings["region"],
        endpoint_url=state.store.settings["endpoint_url"],
        aws_access_key_id=state.store.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=state.store.environment["AWS_SECRET_ACCESS_KEY"],
    )


def _now() -> int:
    return int(time.time() * 1000)


def _keep(repeated: Any, which: Callable[[Any], bool]) -> None:
    kept = [item for item in repeated if which(item)]
    del repeated[:]
    repeated.extend(kept)


def _set_tag(tags: Any, tag: Any) -> None:
    if not tag.key or len(tag.key) > _LIMITS["key"] or _NOT_IN_KEYS.search(tag.key):
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Invalid tag key: {tag.key!r}")
    if len(tag.value) > _LIMITS["value"]:
        raise ApiError(400, "INVALID_PARAMETER_VALUE", f"Tag value of {tag.key} is over {_LIMITS['value']} characters")
    _keep(tags, lambda other: other.key != tag.key)
    if len(tags) >= _LIMITS["tags"]:
        raise ApiError(400, "RESOURCE_LIMIT_EXCEEDED", f"A securable has at most {_LIMITS['tags']} tags")
    tags.append(tag)
