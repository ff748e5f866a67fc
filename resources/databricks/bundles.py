"""Bundles in Unity Catalog: each a version of a model that Model Serving can load, with the platform's code inside."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ml_platform
import resources
from ml_platform.jobs.serving import bundle
from resources.databricks import ml_platform_bundle
from resources.databricks.mlflow_client import REGISTRY, TRACKING, adopted, mlflow_client, owned, ready_versions
from resources.databricks.served_model import BODY

_REVISION = "revision"
_BUNDLE = "bundle"
_NEEDED = ("databricks-sdk", "lightgbm", "mlflow", "numpy", "orjson", "pandas", "pyarrow")
_LEFT_OUT = ("__pycache__", "testing", "profiles", "*.md")


class Bundles:
    """The bundles of one endpoint, as versions of the model of that full name; each knows the last revision of it.

    full: `<catalog>.<schema>.<name>`. environment: what the model is tagged with.
    """

    def __init__(self, full: str, environment: str) -> None:
        self.full = full
        self._environment = environment
        self._plain: dict[str, Mapping[str, Any]] = {}

    def revisions(self) -> dict[str, int]:
        """Version of the model → number of the revision that it is of."""
        with mlflow_client(f"model {self.full}") as client:
            if owned(client, self.full, self._environment) is None:
                return {}
            found = [client.get_model_version(self.full, str(n)) for n in ready_versions(client, self.full)]
        return {str(one.version): int(one.tags[_REVISION]) for one in found if _REVISION in one.tags}

    def add(self, folder: Path, number: int) -> str:
        """The version of the model that holds the bundle in the folder."""
        with mlflow_client(f"model {self.full}") as client, TemporaryDirectory() as scratch:
            adopted(client, self.full, self._environment)
            model = _as_mlflow_model(folder, Path(scratch))
            made = client.create_model_version(self.full, source=str(model), tags={_REVISION: str(number)})
        return str(made.version)

    def renumber(self, held: Collection[str], number: int) -> None:
        """These versions are of the revision of that number, which serves them on as they are."""
        with mlflow_client(f"model {self.full}") as client:
            for one in held:
                client.set_model_version_tag(self.full, one, _REVISION, str(number))

    def plain(self, held: str) -> Mapping[str, Any]:
        """The content of the `endpoint.json` of a version; it never changes."""
        if held not in self._plain:
            with mlflow_client(f"version {held} of model {self.full}"), TemporaryDirectory() as scratch:
                from mlflow.artifacts import download_artifacts

                uri = f"models:/{self.full}/{held}/data/{_BUNDLE}/{bundle.SPEC}"
                path = download_artifacts(uri, dst_path=scratch, tracking_uri=TRACKING, registry_uri=REGISTRY)
                self._plain[held] = json.loads(Path(path).read_text(encoding="utf-8"))
        return self._plain[held]

    def discard(self, held: Collection[str]) -> None:
        """These versions are gone."""
        with mlflow_client(f"model {self.full}") as client:
            for one in held:
                client.delete_model_version(self.full, one)


def _as_mlflow_model(folder: Path, scratch: Path) -> Path:
    import pyarrow as pa
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    shutil.copytree(folder, scratch / _BUNDLE)
    loader = Path(str(ml_platform_bundle.__file__))
    texts = [Schema([ColSpec("string", BODY)]), Schema([ColSpec("string")])]
    pyfunc.save_model(
        path=str(scratch / "model"),
        loader_module=loader.stem,
        data_path=str(scratch / _BUNDLE),
        code_paths=[str(loader), str(_archive(scratch / ml_platform_bundle.ARCHIVE))],
        signature=ModelSignature(inputs=texts[0], outputs=texts[1]),
        input_example=pa.table({BODY: ['{"describe": true}']}).to_pandas(),
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],
    )
    return scratch / "model"


def _archive(into: Path) -> Path:
    """The platform's code, as far as a server needs it, as one archive."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in (ml_platform, resources):
            source = Path(str(package.__file__)).parent
            for path in sorted(source.rglob("*")):
                inside = path.relative_to(source)
                if path.is_file() and not any(fnmatch(part, left) for part in inside.parts for left in _LEFT_OUT):
                    archive.write(path, f"{source.name}/{inside.as_posix()}")
    return into
