from __future__ import annotations

from pathlib import Path

import httpx

from resources.databricks.testing.mlflow_server import mlflow_server


def test_a_real_server_answers_and_keeps_its_database_in_the_folder(tmp_path: Path) -> None:
    with mlflow_server(tmp_path / "mlflow") as url:
        made = httpx.post(
            f"{url}/api/2.0/mlflow/experiments/create", json={"name": "late"}, trust_env=False, timeout=60
        )
        assert made.status_code == 200
        assert (tmp_path / "mlflow" / "mlflow.sqlite").exists()
