from __future__ import annotations

import pytest
from accounts import stand_ins_only

from ml_platform.errors import ServiceError
from ml_platform.testing.model_registry import ModelRegistryContract
from resources.databricks.mlflow_client import mlflow_client
from resources.databricks.model_registry import DatabricksModelRegistry


class TestDatabricksModelRegistry(ModelRegistryContract):
    @pytest.fixture
    def registry(self, catalog: str, prefix: str) -> DatabricksModelRegistry:
        return DatabricksModelRegistry(catalog, prefix)

    @pytest.fixture
    def another(self, catalog: str, prefix: str) -> DatabricksModelRegistry:
        return DatabricksModelRegistry(catalog, f"{prefix}-another")

    def test_nothing_is_a_pickle_and_nothing_is_printed(self, registry, package, tmp_path, capfd):
        registry.register("late", package, {})
        fetched = registry.fetch("late", 1, tmp_path / "fetched")
        assert not [path for path in fetched.rglob("*") if path.is_file() and path.read_bytes()[:1] == b"\x80"]
        assert capfd.readouterr() == ("", "")

    def test_model_of_somebody_else_is_not_touched(self, registry, package, catalog, prefix):
        with mlflow_client("a model") as client:
            client.create_registered_model(f"{catalog}.ml_platform.{prefix}-late")
        with pytest.raises(ServiceError, match="is there, but it is somebody else's"):
            registry.register("late", package, {})

    def test_interrupted_registration_leaves_no_version(self, registry, package, monkeypatch):
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        from mlflow.store._unity_catalog.registry.rest_store import UcModelRegistryStore

        with monkeypatch.context() as patched:
            patched.setattr(UcModelRegistryStore, "_finalize_model_version", interrupted)
            with pytest.raises(KeyboardInterrupt):
                registry.register("late", package, {"fingerprint": "a"})
        assert registry.versions("late") == []

    @stand_ins_only("databricks")
    def test_expired_credentials_are_told_with_what_it_takes(self, registry, workspace):
        workspace.inject("expired", 1)
        with pytest.raises(ServiceError, match="credentials that have not expired"):
            registry.versions("late")
        assert registry.versions("late") == []

    @stand_ins_only("databricks")
    def test_throttling_is_sat_out(self, registry, workspace):
        workspace.inject("throttled", 1)
        assert registry.versions("late") == []
