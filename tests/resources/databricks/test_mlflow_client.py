from __future__ import annotations

import mlflow
import pytest

from ml_platform.errors import BindingError, ServiceError
from ml_platform.testing.stand_in import Cloud
from resources.databricks.mlflow_client import mlflow_client, require_ours
from resources.databricks.unity_catalog import ENVIRONMENT


def test_the_process_has_its_own_tracking_again_afterwards(workspace: Cloud) -> None:
    before = mlflow.get_tracking_uri()
    with mlflow_client("a model"):
        assert mlflow.get_tracking_uri() == "databricks"
    assert mlflow.get_tracking_uri() == before


def test_no_workspace_is_told_before_mlflow_tries_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/nowhere")
    with pytest.raises(BindingError, match="no Databricks workspace"), mlflow_client("a model"):
        pass


def test_only_our_environments_tag_is_ours() -> None:
    require_ours("model x", {ENVIRONMENT: "prod"}, "prod")
    with pytest.raises(ServiceError, match="model x is there, but it is somebody else's"):
        require_ours("model x", {ENVIRONMENT: "staging"}, "prod")
