from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ml_platform.engine.package import read_json
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import ServiceError
from ml_platform.testing.model_registry import ModelRegistryContract
from resources.embedded.model_registry import EmbeddedModelRegistry


class TestEmbeddedModelRegistry(ModelRegistryContract):
    @pytest.fixture(scope="class")
    @classmethod
    def empty_database(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """MLflow's schema, made once: making it takes seconds."""
        home = tmp_path_factory.mktemp("mlflow")
        EmbeddedModelRegistry(f"sqlite:///{home}/mlflow.db", str(home), "test").versions("late")
        return home / "mlflow.db"

    @pytest.fixture
    def registry(self, empty_database: Path, tmp_path: Path) -> EmbeddedModelRegistry:
        shutil.copy(empty_database, tmp_path / "mlflow.db")
        return EmbeddedModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"), "dev-ann")

    @pytest.fixture
    def another(self, registry: EmbeddedModelRegistry, tmp_path: Path) -> EmbeddedModelRegistry:
        return EmbeddedModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"), "staging")

    def test_no_artifact_is_a_pickle(self, registry, package, tmp_path):
        registry.register("late", package, {})
        files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
        assert {"MLmodel", "weights.json", "roc.png"} <= {path.name for path in files}
        assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".cloudpickle")]
        # Every pickle from protocol 2 on opens with this byte.
        assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]

    def test_mlflow_loads_the_model_with_signature_and_example(self, registry, package):
        registry.register("late", package, {})
        import mlflow

        source = registry._client().get_model_version("dev-ann.late", "1").source
        model = mlflow.pyfunc.load_model(source)
        columns = read_json(package / "input_example.json")
        assert model.metadata.signature.inputs.input_names() == ["wind", "hour", "carrier"]
        assert np.array_equal(model.predict(model.input_example), Scorer.load(package).predict(columns))

    def test_run_holds_parameters_metrics_and_plots(self, registry, package):
        registry.register("late", package, {})
        client = registry._client()
        run = client.get_run(client.get_model_version("dev-ann.late", "1").run_id)
        metrics = read_json(package / "metrics.json")
        assert run.info.status == "FINISHED"
        assert run.data.params["estimator"] == "linear"
        assert run.data.metrics["test_roc_auc"] == metrics["test"]["roc_auc"]
        assert run.data.metrics["baseline_test_brier"] == metrics["baseline"]["test"]["brier"]
        plots = [file.path for file in client.list_artifacts(run.info.run_id, "plots")]
        assert set(plots) >= {f"plots/{name}.png" for name in ("calibration", "importance", "learning_curve", "roc")}
        assert {"model_card.md", "slices.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}

    @pytest.mark.parametrize("call", ["log_model_artifacts", "finalize_logged_model", "create_model_version"])
    def test_interrupted_registration_leaves_no_version(self, registry, package, monkeypatch, call):
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        client = registry._client()
        with monkeypatch.context() as patched:
            patched.setattr(client, call, interrupted)
            with pytest.raises(KeyboardInterrupt):
                registry.register("late", package, {"fingerprint": "a"})
        assert registry.versions("late") == []
        assert registry.register("late", package, {"fingerprint": "a"}).number == 1

    def test_altered_package_is_not_handed_out(self, registry, package, tmp_path):
        registry.register("late", package, {})
        weights = next((tmp_path / "artifacts").rglob("weights.json"))
        weights.write_text(weights.read_text().replace('"intercept": ', '"intercept": 1'))
        with pytest.raises(ServiceError, match="Its files were altered"):
            registry.fetch("late", 1, tmp_path / "fetched")
        assert not (tmp_path / "fetched").exists()

    def test_lost_artifacts_are_a_service_error(self, registry, package, tmp_path):
        registry.register("late", package, {})
        shutil.rmtree(tmp_path / "artifacts")
        with pytest.raises(ServiceError):
            registry.fetch("late", 1, tmp_path / "fetched")

    def test_nothing_is_printed(self, registry, package, tmp_path, capfd):
        registry.register("late", package, {})
        registry.fetch("late", 1, tmp_path / "fetched")
        assert capfd.readouterr() == ("", "")
