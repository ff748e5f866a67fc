from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from google.cloud import aiplatform_v1

from ml_platform.testing.told import Told
from resources.gcp.testing.vertex_containers import Containers
from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_server import Server


def started(home: Path, *words: str) -> tuple[Server, Containers]:
    containers = Containers(home, "http://127.0.0.1:9", Told(home / "told"))
    spec = {"image_uri": "image", "command": ["python", "-m", *words], "health_route": "/", "predict_route": "/"}
    model = aiplatform_v1.Model.pb(aiplatform_v1.Model(container_spec=spec))
    return Server.start(containers, model, "projects/p/locations/l/endpoints/1", "7"), containers


def test_a_container_that_ends_never_became_ready(tmp_path: Path) -> None:
    server, _ = started(tmp_path, "platform")
    with pytest.raises(VertexError, match="Model server never became ready") as refused:
        asyncio.run(server.ready(healthy=True))
    assert refused.value.code == "FAILED_PRECONDITION"


def test_one_that_is_to_stay_unhealthy_is_ended(tmp_path: Path) -> None:
    server, containers = started(tmp_path, "http.server", "0")
    with pytest.raises(VertexError, match="never became ready"):
        asyncio.run(server.ready(healthy=False))
    assert containers._all[0].poll() is not None


def test_a_server_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    server, containers = started(tmp_path, "http.server", "0")
    request = aiplatform_v1.PredictRequest.pb()(endpoint="e", instances=[])
    with pytest.raises(VertexError) as refused:
        asyncio.run(server.predict(request))
    assert refused.value.code == "UNAVAILABLE"
    containers.end()
