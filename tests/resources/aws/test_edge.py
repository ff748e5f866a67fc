from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_platform.engine import remote_jobs
from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.endpoint_host import endpoint_spec, publish_views, write_package
from ml_platform.testing.job_runner import ENDLESS
from resources.aws import edge
from resources.embedded.feature_store import EmbeddedFeatureStore

ROOT = Path(__file__).parents[3]


def started(base: Path, what: str, **environment: str) -> subprocess.Popen[str]:
    """The program of the image, its `/opt/ml` in the folder; messages go to a folder beside."""
    own = {"SAGEMAKER_BASE_DIR": str(base), edge.EVENTS: str(base.parent / "events"), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "resources.aws.edge", what],
        env={**os.environ, **own},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fit(folder: Path, **changes: Any) -> JobSpec:
    pin = training_set.write(folder / "training_set")
    return JobSpec("late", "fit", training_set.fit_arguments(pin, **{"estimator": "baseline", **changes}))


@pytest.mark.parametrize(
    ("what", "order", "output"),
    [("train", "input/data/order", "model/result"), ("process", "processing/input/order", "processing/output/result")],
)
def test_job_finds_its_order_and_leaves_its_result_where_the_service_looks(
    what: str, order: str, output: str, tmp_path: Path
) -> None:
    base = tmp_path / "ml"
    remote_jobs.write_order(fit(tmp_path), base / order)
    job = started(base, what)
    assert (job.communicate(timeout=60), job.returncode)[1] == 0
    assert (base / output / "model.json").exists()
    assert (tmp_path / "events" / "1.json").exists()


@pytest.mark.parametrize(
    ("what", "order", "said"),
    [("train", "input/data/order", "output/failure"), ("process", "processing/input/order", "output/message")],
)
def test_failed_job_says_why_where_the_service_looks(what: str, order: str, said: str, tmp_path: Path) -> None:
    base = tmp_path / "ml"
    remote_jobs.write_order(fit(tmp_path, label="later"), base / order)
    job = started(base, what)
    assert (job.communicate(timeout=60), job.returncode)[1] == 1
    assert (base / said).read_text().startswith("column later is missing")


def test_order_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    job = started(tmp_path / "ml", "train")
    assert (job.communicate(timeout=60), job.returncode)[1] == 1
    assert "is not readable" in (tmp_path / "ml" / "output" / "failure").read_text()


def test_job_that_is_told_to_end_ends(tmp_path: Path) -> None:
    base = tmp_path / "ml"
    remote_jobs.write_order(fit(tmp_path, **ENDLESS), base / "input/data/order")
    job = started(base, "train")
    assert job.stdout is not None
    job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    assert (job.communicate(timeout=60), job.returncode)[1] == 143


def test_server_answers_pings_and_invocations_at_the_port_that_it_is_given(tmp_path: Path) -> None:
    # given an endpoint's bundle where the service puts it
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    spec = endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path / "log")}),
    )
    bundle.write(spec, 3, tmp_path / "ml" / "model")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = started(tmp_path / "ml", "serve", SAGEMAKER_BIND_TO_PORT=str(port))
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while not healthy(url) and time.monotonic() < deadline:
            time.sleep(0.05)
        answer = httpx.post(f"{url}/invocations", content=json.dumps({"describe": True}), trust_env=False)
        assert answer.raise_for_status().json()["number"] == 3
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode in (0, -signal.SIGTERM)


def healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_server_of_what_cannot_be_served_ends_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = started(tmp_path / "ml", "serve", SAGEMAKER_BIND_TO_PORT=str(port))
    _, said = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "endpoint.json" in said


def test_word_that_the_service_does_not_say_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert edge.main(["sing"]) == 2
    assert "train|process|serve" in capsys.readouterr().err
