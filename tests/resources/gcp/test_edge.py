from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ml_platform.engine import remote_jobs
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from resources.gcp.edge import _instances, _predictions


def ran(folder: Path, **changes: object) -> int:
    """The exit code of a fit's container whose order, output and events are in the folder."""
    pin = training_set.write(folder / "table")
    arguments = training_set.fit_arguments(pin, **{"estimator": "baseline", **changes})
    remote_jobs.write_order(JobSpec("late@1", "fit", arguments), folder / "order")
    places = [f"--{name}={folder / name}" for name in ("order", "output", "events")]
    return subprocess.run([sys.executable, "-m", "resources.gcp.edge", "job", *places], check=False).returncode


def test_a_job_leaves_what_its_program_wrote_at_the_output(tmp_path: Path) -> None:
    assert ran(tmp_path) == 0
    assert (tmp_path / "output" / "model.json").exists()
    assert "test/roc_auc" in "".join(chunk.read_text() for chunk in (tmp_path / "events").iterdir())


def test_a_job_that_fails_says_why_and_leaves_no_output(tmp_path: Path) -> None:
    assert ran(tmp_path, label="later") == 1
    assert not (tmp_path / "output").exists()

    def read(number: int) -> str | None:
        chunk = tmp_path / "events" / f"{number}.json"
        return chunk.read_text() if chunk.exists() else None

    assert remote_jobs.reason(read).startswith("column later is missing")


def test_instances_are_bodies_and_bodies_are_predictions() -> None:
    body = b'{"instances": [{"inputs": [{"shape": [1.0], "data": [0.5]}]}, {"describe": true}]}'
    assert _instances(body) == [b'{"inputs": [{"shape": [1], "data": [0.5]}]}', b'{"describe": true}']
    assert json.loads(_predictions([b'{"a": 1}', b"{}"])) == {"predictions": [{"a": 1}, {}]}
