"""Model packages as MLflow keeps them: a run with its metrics and plots, and a logged model; nothing is a pickle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_platform
from ml_platform.engine.model_card import FILE as MODEL_CARD
from ml_platform.engine.package import (
    INPUT_EXAMPLE,
    METRICS,
    PLOTS,
    SLICES,
    ModelCard,
    digest,
    read_card,
    read_json,
    require_no_pickle,
)
from ml_platform.errors import ServiceError

PACKAGE = "package"
_NEEDED = ("lightgbm", "numpy", "scikit-learn")
_LONGEST_VALUE = 6000  # of a parameter, that MLflow keeps


def log(client: Any, experiment_id: str, name: str, package: Path) -> Any:
    """The logged model that holds the package, complete; its run is finished, or failed where this fails."""
    card = read_card(package)
    run_id = client.create_run(experiment_id, tags={"mlflow.runName": name}).info.run_id
    try:
        model = _logged(client, experiment_id, run_id, name, package, card)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return model


def fetch(download: Callable[[Path], Path], expected: str, subject: str, into: Path) -> Path:
    """The folder `into`, made or empty before, holding the package; only an unaltered one is handed out.

    download: puts the package below a scratch folder and says where. expected: the package's digest.
    """
    if into.exists() and any(into.iterdir()):
        raise ServiceError(f"folder {into} holds files already, but a package is put into a new or an empty one")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        package = download(Path(scratch))
        found = digest(package)
        if found != expected:
            raise ServiceError(
                f"{subject} has digest {found[:12]}, but was given {expected[:12]}",
                remedy="Its files were altered in the artifact store: restore them, or fit and register again",
            )
        require_no_pickle(package)
        shutil.copytree(package, into, dirs_exist_ok=True)
    return into


def _logged(client: Any, experiment_id: str, run_id: str, name: str, package: Path, card: ModelCard) -> Any:
    from mlflow.entities import LoggedModelOutput, Metric, Param

    settings = {**card.parameters, "estimator": card.estimator, "seed": card.seed}
    parameters = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in settings.items()]
    metrics = [Metric(key, value, 0, 0) for key, value in _flat(read_json(package / METRICS)).items()]
    client.log_batch(run_id, metrics=metrics, params=parameters)
    client.log_artifacts(run_id, str(package / PLOTS), PLOTS)
    for file in (MODEL_CARD, SLICES):
        if (package / file).exists():
            client.log_artifact(run_id, str(package / file))
    model = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
    with tempfile.TemporaryDirectory() as scratch:
        client.log_model_artifacts(model.model_id, str(_as_mlflow_model(package, card, Path(scratch))))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    return model


def _as_mlflow_model(package: Path, card: ModelCard, scratch: Path) -> Path:
    """The package inside a folder that MLflow can load, serve and describe."""
    import pyarrow as pa
    from mlflow import pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    shutil.copytree(package, scratch / PACKAGE)
    inputs = [ColSpec("double" if feature.type == "number" else "string", feature.name) for feature in card.features]
    outputs = [ColSpec("double", name) for name in card.classes] or [ColSpec("double")]
    schema = pa.schema([(f.name, pa.float64() if f.type == "number" else pa.string()) for f in card.features])
    pyfunc.save_model(
        path=str(scratch / "model"),
        loader_module=f"{ml_platform.__name__}.engine.pyfunc",
        data_path=str(scratch / PACKAGE),
        signature=ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs)),
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
