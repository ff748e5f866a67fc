"""A served entity of the stand-in: a model version of Unity Catalog behind MLflow's own scoring server, confined."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from ml_platform.engine import loopback
from ml_platform.testing.container import Container
from resources.databricks.testing.state import State
from resources.databricks.testing.uc_models import object_store

_START_SECONDS = 120
_LOOK_SECONDS = 0.1


class EntityServer:
    """The server of one model version. given: the served entity as the API was told it, its environment included."""

    def __init__(self, state: State, given: Mapping[str, Any]) -> None:
        self.given = dict(given)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        folder = state.folder / "serving" / uuid4().hex
        self._download(state, folder / "model")
        environment = {
            **state.environment(self.given.get("environment_vars") or {}),
            "__pyfunc_model_path__": str(folder / "model"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = ["uvicorn", "mlflow.pyfunc.scoring_server.app:app", "--host", "127.0.0.1", "--port", str(port)]
        self._container = Container.start(command, folder, environment)

    def becomes_ready(self) -> bool:
        """Whether it answers, once it does or has ended."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._container.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if loopback.request("GET", f"{self._url}/ping").status_code == 200:
                    return True
            time.sleep(_LOOK_SECONDS)
        return False

    def invoke(self, body: bytes, content_type: str) -> httpx.Response:
        """The server's own answer."""
        return loopback.request(
            "POST", f"{self._url}/invocations", content=body, headers={"Content-Type": content_type}, timeout=60
        )

    def output(self) -> str:
        """What it has printed so far."""
        return self._container.output()

    def end(self) -> None:
        """It does not run."""
        self._container.stop(2)

    def _download(self, state: State, into: Path) -> None:
        location = state.models.location(self.given["entity_name"], self.given["entity_version"])  # type: ignore[union-attr]
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        store = object_store(state)
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for found in page.get("Contents", []):
                path = into / found["Key"].removeprefix(f"{prefix}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                # Of small files, which boto3's transfers would each ask for twice and give threads to.
                path.write_bytes(store.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())
