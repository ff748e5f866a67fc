"""A real MLflow tracking server, which the stand-in of a workspace has its tracking answered by.

As a program, `python -m resources.databricks.testing.mlflow_server FOLDER` prints its address and serves until its
input ends; its database is in the folder.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ml_platform.testing.stand_in import running, serve

_ARTIFACTS = "dbfs:/databricks/mlflow-tracking"


def mlflow_server(folder: Path) -> AbstractContextManager[str]:
    """The address of the server; it has ended afterwards."""
    return running("resources.databricks.testing.mlflow_server", str(folder))


def _app(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DATABRICKS_"))]:
        del os.environ[name]
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    from resources.mlflow.sdk import import_mlflow

    import_mlflow()
    from mlflow import server

    database = f"sqlite:///{folder}/mlflow.sqlite"
    os.environ[server.BACKEND_STORE_URI_ENV_VAR] = database
    os.environ[server.REGISTRY_STORE_URI_ENV_VAR] = database
    os.environ[server.ARTIFACT_ROOT_ENV_VAR] = _ARTIFACTS
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(database, default_artifact_root=_ARTIFACTS)
    return app


if __name__ == "__main__":
    serve(_app(Path(sys.argv[1])))
