"""A model registry on Databricks: Managed MLflow, with the versions in Unity Catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.engine.package import digest
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.model import ModelVersion
from resources.databricks.mlflow_client import (
    REGISTRY,
    TRACKING,
    adopted,
    is_ours,
    mlflow_client,
    owned,
    ready_versions,
    registered,
    require_ours,
)
from resources.databricks.tags import packed, unpacked
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.mlflow import packages

if TYPE_CHECKING:
    from ml_platform.roles.model_registry import ModelRegistry

_DIGEST = "digest"
_FINGERPRINT = "fingerprint"


class DatabricksModelRegistry:
    """Registers `x` as `<catalog>.<schema>.<prefix>-x`; its runs stand in an experiment of the workspace.

    Credentials are not settings: the SDK finds them in the environment. The workspace decides who holds the files.

    catalog, schema: of Unity Catalog; both have to exist. prefix: the environment's.
    experiments: folder of the workspace in which the experiments stand, one a model; it has to exist.
    """

    def __init__(self, catalog: str, prefix: str, schema: str = "ml_platform", experiments: str = "/Shared") -> None:
        self._schema = f"{catalog}.{schema}"
        self._prefix = prefix
        self._experiments = experiments.rstrip("/")

    def register(self, name: str, package: Path, tags: Mapping[str, str]) -> ModelVersion:
        """As the role promises. A version whose files did not come whole is never ready, and is not there for us."""
        if _DIGEST in tags:
            raise DeclarationError("tag digest is given, but it is worked out from the package")
        wanted = tags.get(_FINGERPRINT)
        standing = [v for v in self.versions(name) if wanted is not None and v.tags.get(_FINGERPRINT) == wanted]
        if standing:
            return standing[0]
        with mlflow_client(f"model {name}") as client:
            adopted(client, self._full(name), self._prefix)
            model = packages.log(client, self._experiment(client, name), name, package)
            version = client.create_model_version(
                self._full(name),
                source=model.artifact_location,
                run_id=model.source_run_id,
                tags=packed({**tags, _DIGEST: digest(package)}),
                model_id=model.model_id,
            )
            return self._record(client, name, version.version, {})

    def names(self) -> Sequence[str]:
        """As the role promises; a search gives the models of all schemas, and no tags, so each of ours is one call."""
        mine = self._full("")
        with mlflow_client("the models") as client:
            found = [full for full in registered(client) if full.startswith(mine)]
            ours = [full for full in found if is_ours(client.get_registered_model(full).tags, self._prefix)]
        return sorted(full.removeprefix(mine) for full in ours)

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """As the role promises; three calls, and one more for each version, for a search leaves out their tags."""
        with mlflow_client(f"model {name}") as client:
            model = self._model(client, name)
            if model is None:
                return []
            numbers = ready_versions(client, self._full(name))
            return [self._record(client, name, number, model.aliases) for number in numbers]

    def version(self, name: str, reference: str) -> ModelVersion | None:
        """As the role promises."""
        from mlflow.exceptions import RestException

        with mlflow_client(f"version {reference} of model {name}") as client:
            model = self._model(client, name)
            number = reference if reference.isdigit() else model and model.aliases.get(reference)
            if model is None or number is None:
                return None
            try:
                return self._record(client, name, number, model.aliases)
            except RestException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def move_alias(self, name: str, alias: str, number: int) -> None:
        """As the role promises."""
        self._existing(name, number)
        with mlflow_client(f"alias {alias} of model {name}") as client:
            client.set_registered_model_alias(self._full(name), alias, str(number))

    def record(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """As the role promises."""
        if _DIGEST in tags:
            raise DeclarationError("tag digest is given, but it is the version's own and never changes")
        self._existing(name, number)
        with mlflow_client(f"version {number} of model {name}") as client:
            for key, value in packed(tags).items():
                client.set_model_version_tag(self._full(name), str(number), key, value)

    def fetch(self, name: str, number: int, into: Path) -> Path:
        """As the role promises."""
        expected = self._existing(name, number).digest
        subject = f"version {number} of model {name}"
        return packages.fetch(lambda scratch: self._downloaded(name, number, subject, scratch), expected, subject, into)

    def _downloaded(self, name: str, number: int, subject: str, scratch: Path) -> Path:
        with mlflow_client(subject):
            from mlflow.artifacts import download_artifacts

            uri = f"models:/{self._full(name)}/{number}/data/{packages.PACKAGE}"
            return Path(download_artifacts(uri, dst_path=str(scratch), tracking_uri=TRACKING, registry_uri=REGISTRY))

    def _full(self, name: str) -> str:
        return f"{self._schema}.{self._prefix}-{name}"

    def _existing(self, name: str, number: int) -> ModelVersion:
        version = self.version(name, str(number))
        if version is None:
            numbers = ", ".join(str(v.number) for v in self.versions(name))
            raise NotFoundError(
                f"version {number} of model {name} is asked for, but is not registered",
                allowed=f"Registered are {numbers}" if numbers else "No version of it is registered",
            )
        return version

    def _model(self, client: Any, name: str) -> Any:
        return owned(client, self._full(name), self._prefix)

    def _experiment(self, client: Any, name: str) -> str:
        full = f"{self._experiments}/{self._prefix}-{name}"
        experiment = client.get_experiment_by_name(full)
        if experiment is None:
            return str(client.create_experiment(full, tags={ENVIRONMENT: self._prefix}))
        require_ours(f"experiment {full}", experiment.tags, self._prefix)
        return str(experiment.experiment_id)

    def _record(self, client: Any, name: str, number: object, aliases: Mapping[str, Any]) -> ModelVersion:
        found = client.get_model_version(self._full(name), str(number))
        tags = unpacked(found.tags)
        named = tuple(sorted(alias for alias, version in aliases.items() if str(version) == str(number)))
        return ModelVersion(name, int(found.version), tags.pop(_DIGEST, ""), tags, named)


if TYPE_CHECKING:
    _: type[ModelRegistry] = DatabricksModelRegistry
