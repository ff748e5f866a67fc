"""The embedded model registry: MLflow on SQLite, one run and one registered version a package."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_platform
from ml_platform.engine.package import INPUT_EXAMPLE, METRICS, PLOTS, ModelCard, digest, read_card, read_json
from ml_platform.errors import DeclarationError, NotFoundError, ServiceError
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

_DIGEST = "digest"
_FINGERPRINT = "fingerprint"
_PACKAGE = "package"
_NEEDED = ("lightgbm", "numpy")

# What importing MLflow warns of is about its own use of its own libraries: two messages, and nothing else is let by.
_OF_ITS_OWN = (".*Any type hint is inferred as AnyType", "The ``noload`` loader strategy is deprecated")


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
        card = read_card(package)
        with _translated(f"model {name}"):
            client = self._client()
            run_id = client.create_run(self._experiment(name), tags={"mlflow.runName": name}).info.run_id
            try:
                model = self._logged(run_id, name, package, card)
            except BaseException:
                client.set_terminated(run_id, "FAILED")
                raise
            client.set_terminated(run_id)
            self._ensure_registered(name)
            version = client.create_model_version(
                self._full(name),
                source=model.artifact_location,
                run_id=run_id,
                tags={**tags, _DIGEST: digest(package)},
                model_id=model.model_id,
            )
        return _record(name, version, {})

    def versions(self, name: str) -> Sequence[ModelVersion]:
        """All versions, oldest first, with their tags and aliases."""
        with _translated(f"model {name}"):
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
        with _translated(f"alias {alias} of model {name}"):
            self._client().set_registered_model_alias(self._full(name), alias, str(number))

    def record(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        """The tags stand beside the version's others; its digest is not to be replaced."""
        if _DIGEST in tags:
            raise DeclarationError("tag digest is given, but it is the version's own and never changes")
        self._existing(name, number)
        with _translated(f"version {number} of model {name}"):
            for key, value in tags.items():
                self._client().set_model_version_tag(self._full(name), str(number), key, value)

    def fetch(self, name: str, number: int, into: Path) -> Path:
        """The folder `into`, made or empty before, holding the package; only an unaltered one is handed out."""
        expected = self._existing(name, number).digest
        if into.exists() and any(into.iterdir()):
            raise ServiceError(f"folder {into} holds files already, but a package is put into a new or an empty one")
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            with _translated(f"version {number} of model {name}"):
                from mlflow.artifacts import download_artifacts

                source = self._client().get_model_version_download_uri(self._full(name), str(number))
                download_artifacts(f"{source}/data/{_PACKAGE}", dst_path=scratch, tracking_uri=self._uri)
            package = Path(scratch) / _PACKAGE
            found = digest(package)
            if found != expected:
                raise ServiceError(
                    f"version {number} of model {name} has digest {found[:12]}, but was given {expected[:12]}",
                    remedy="Its files were altered in the artifact store: restore them, or fit and register again",
                )
            shutil.copytree(package, into, dirs_exist_ok=True)
        return into

    def _client(self) -> Any:
        if self._opened is None:
            _import_mlflow()
            from mlflow import MlflowClient

            if self._uri.startswith("sqlite:///"):
                Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._opened = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._opened

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

    def _logged(self, run_id: str, name: str, package: Path, card: ModelCard) -> Any:
        """The logged model, complete, with the run's parameters, metrics and plots beside it."""
        from mlflow.entities import LoggedModelOutput, Metric, Param

        client = self._client()
        settings = {**card.parameters, "estimator": card.estimator, "seed": card.seed}
        parameters = [Param(key, str(value)) for key, value in settings.items()]
        metrics = [Metric(key, value, 0, 0) for key, value in _flat(read_json(package / METRICS)).items()]
        client.log_batch(run_id, metrics=metrics, params=parameters)
        client.log_artifacts(run_id, str(package / PLOTS), PLOTS)
        model = client.create_logged_model(self._experiment(name), name=name, source_run_id=run_id)
        with tempfile.TemporaryDirectory() as scratch:
            client.log_model_artifacts(model.model_id, str(_as_mlflow_model(package, card, Path(scratch))))
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        return model


def _record(name: str, version: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    tags = dict(version.tags)
    named = tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)))
    return ModelVersion(name, int(version.version), tags.pop(_DIGEST, ""), tags, named)


def _as_mlflow_model(package: Path, card: ModelCard, scratch: Path) -> Path:
    """The package inside a folder that MLflow can load, serve and describe."""
    import pyarrow as pa
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    shutil.copytree(package, scratch / _PACKAGE)
    inputs = [ColSpec("double" if feature.type == "number" else "string", feature.name) for feature in card.features]
    schema = pa.schema([(f.name, pa.float64() if f.type == "number" else pa.string()) for f in card.features])
    pyfunc.save_model(
        path=str(scratch / "model"),
        loader_module=f"{ml_platform.__name__}.engine.pyfunc",
        data_path=str(scratch / _PACKAGE),
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("double")])),
        input_example=pa.table(read_json(package / INPUT_EXAMPLE), schema=schema).to_pandas(),
        # Named, for inferring them would load the model in another process and ask the network.
        pip_requirements=[ml_platform.__name__, *(f"{name}=={card.versions[name]}" for name in _NEEDED)],
    )
    return scratch / "model"


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Nested metrics by one name: `test_roc_auc`, `baseline_test_roc_auc`."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat |= _flat(value, f"{prefix}{name}_") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _import_mlflow() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():
        for message in _OF_ITS_OWN:
            warnings.filterwarnings("ignore", message=message)
        import mlflow.pyfunc
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    """MLflow's errors inside are the platform's outside."""
    _import_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise ServiceError(f"{subject} is asked of MLflow, but it answered: {error.message}") from error


_: type[ModelRegistry] = EmbeddedModelRegistry
