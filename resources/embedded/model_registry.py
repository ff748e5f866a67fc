"""The embedded model registry: MLflow on SQLite, one run and one registered version a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_platform.engine import intent
from ml_platform.engine.package import digest
from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry
from resources.mlflow import packages
from resources.mlflow.sdk import import_mlflow, translated

_DIGEST = "digest"
_FINGERPRINT = "fingerprint"


class EmbeddedModelRegistry:
    """Keeps model packages as MLflow models of the generic Python flavour; no file of theirs is a pickle.

    tracking_uri: `sqlite:///` and a path. artifacts: folder of the artifacts.
    prefix: the environment's; `x` is registered as `<prefix>.x`, and its runs stand in the experiment of that name.
    """

    def __init__(self, tracking_uri: str, artifacts: str, prefix: str) -> None:
        self._uri = tracking_uri
        self._artifacts = Path(artifacts).absolute()
        self._prefix = prefix
        self._opened: Any = None

    def register(self, name: str, package: Path, tags: Mapping[str, str]) -> ModelVersion:
        """A new version with the package's files, metrics and plots; one of the same `fingerprint` is returned instead.

        The version appears in one transaction at the very end: what is interrupted before leaves a run, and no version.
        """
        if _DIGEST in tags:
            raise DeclarationError("tag digest is given, but it is worked out from the package")
        standing = self._with_fingerprint(name, tags.get(_FINGERPRINT))
        if standing is not None:
            return standing
        with translated(f"model {name}"):
            client = self._client()
            model = packages.log(client, self._experiment(name), name, package)
            self._ensure_registered(name)
            version = client.create_model_version(
                self._full(name),
                source=model.artifact_location,
                run_id=model.source_run_id,
                tags={**tags, _DIGEST: digest(package)},
                model_id=model.model_id,
            )
        return _record(name, version, {})

    def names(self) -> Sequence[str]:
        """The names of the environment's models."""
        if self._is_new:
            return []
        with translated("the models"):
            client, found, token = self._client(), [], None
            while token is None or token:
                page = client.search_registered_models(page_token=token)
                found += [model.name for model in page]
                token = page.token or ""
        mine = f"{self._prefix}."
        return sorted(full.removeprefix(mine) for full in found if full.startswith(mine))

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """All versions, oldest first, with their tags and aliases."""
        if self._is_new:
            return []
        with translated(f"model {name}"):
            client, found, token = self._client(), [], None
            while token is None or token:
                page = client.search_model_versions(f"name='{self._full(name)}'", page_token=token)
                found += page
                token = page.token or ""
            aliases = client.get_registered_model(self._full(name)).aliases if found else {}
        return sorted((_record(name, version, aliases) for version in found), key=lambda version: version.number)

    def version(self, name: str, reference: str) -> ModelVersion | None:
        """The version of a number, or of an alias; None where there is none."""
        return next((v for v in self.versions(name) if reference == str(v.number) or reference in v.aliases), None)

    def move_alias(self, name: str, alias: str, number: int) -> None:
        """The alias names that version, and no other."""
        self._existing(name, number)
        with translated(f"alias {alias} of model {name}"):
            self._client().set_registered_model_alias(self._full(name), alias, str(number))

    def record(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """The tags stand beside the version's others; its digest is not to be replaced."""
        if _DIGEST in tags:
            raise DeclarationError("tag digest is given, but it is the version's own and never changes")
        self._existing(name, number)
        with translated(f"version {number} of model {name}"):
            for key, value in tags.items():
                self._client().set_model_version_tag(self._full(name), str(number), key, value)

    def fetch(self, name: str, number: int, into: Path) -> Path:
        """The folder `into`, made or empty before, holding the package; only an unaltered one is handed out."""
        expected = self._existing(name, number).digest
        return packages.fetch(
            lambda scratch: self._downloaded(name, number, scratch), expected, f"version {number} of model {name}", into
        )

    def _downloaded(self, name: str, number: int, scratch: Path) -> Path:
        with translated(f"version {number} of model {name}"):
            from mlflow.artifacts import download_artifacts

            source = self._client().get_model_version_download_uri(self._full(name), str(number))
            download_artifacts(f"{source}/data/{packages.PACKAGE}", dst_path=str(scratch), tracking_uri=self._uri)
        return scratch / packages.PACKAGE

    def _client(self) -> Any:
        if self._opened is None:
            import_mlflow()
            from mlflow import MlflowClient

            if self._uri.startswith("sqlite:///"):
                Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._opened = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._opened

    @property
    def _is_new(self) -> bool:
        """Whether nothing was ever registered, and a plan asks: MLflow would make its database."""
        file = self._uri.removeprefix("sqlite:///")
        return intent.planned() and self._opened is None and file != self._uri and not Path(file).exists()

    def _full(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def _with_fingerprint(self, name: str, fingerprint: str | None) -> ModelVersion | None:
        if fingerprint is None:
            return None
        return next((v for v in self.versions(name) if v.tags.get(_FINGERPRINT) == fingerprint), None)

    def _existing(self, name: str, number: int) -> ModelVersion:
        version = self.version(name, str(number))
        if version is None:
            numbers = ", ".join(str(v.number) for v in self.versions(name))
            raise NotFoundError(
                f"version {number} of model {name} is asked for, but is not registered",
                allowed=f"Registered are {numbers}" if numbers else "No version of it is registered",
            )
        return version

    def _experiment(self, name: str) -> str:
        full = self._full(name)
        experiment = self._client().get_experiment_by_name(full)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self._client().create_experiment(full, artifact_location=str(self._artifacts / full)))

    def _ensure_registered(self, name: str) -> None:
        if not self._client().search_registered_models(f"name='{self._full(name)}'"):
            self._client().create_registered_model(self._full(name))


def _record(name: str, version: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    tags = dict(version.tags)
    named = tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)))
    return ModelVersion(name, int(version.version), tags.pop(_DIGEST, ""), tags, named)


_: type[ModelRegistry] = EmbeddedModelRegistry
