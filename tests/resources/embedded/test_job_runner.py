from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ml_platform.engine.package import digest
from ml_platform.errors import PlatformError
from ml_platform.records.job import Needs
from ml_platform.testing.job_runner import ENDLESS, JobRunnerContract
from resources.embedded.job_runner import EmbeddedJobRunner

_ROOT = Path(__file__).parents[3]


class TestEmbeddedJobRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> EmbeddedJobRunner:
        return EmbeddedJobRunner(str(tmp_path / "jobs"))

    def test_changed_spec_under_the_same_name_runs_anew(self, runner, spec, tmp_path):
        job = runner.submit(spec(estimator="baseline"))
        list(runner.events(job))
        assert runner.submit(spec(estimator="linear")) == job
        list(runner.events(job))
        assert (runner.result(job, tmp_path / "package") / "weights.json").exists()

    def test_job_outlives_the_process_that_submitted_it(self, runner, spec, tmp_path):
        order = tmp_path / "order.json"
        order.write_text(json.dumps(dict(spec().arguments)))
        program = (
            "import json, sys\n"
            "from ml_platform.records.job import JobSpec\n"
            "from resources.embedded.job_runner import EmbeddedJobRunner\n"
            "home, order = sys.argv[1:]\n"
            "print(EmbeddedJobRunner(home).submit(JobSpec('late', 'fit', json.load(open(order)))))\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "jobs"), str(order)]
        # Elsewhere and with nothing but the checkout to find the code in: as from a bare clone.
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        job = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
        ).stdout.strip()
        assert len(list(runner.events(job))) > 3
        assert runner.status(job).state == "succeeded"

    def test_cancelling_ends_every_process_of_the_job(self, runner, spec):
        job = runner.submit(spec(**ENDLESS))
        processes = _processes(runner, job)
        assert len(processes) == 2
        runner.cancel(job)
        assert not [process for process in processes if process.is_running()]

    def test_killed_program_is_a_failure_that_names_the_signal(self, runner, spec):
        job = runner.submit(spec(**ENDLESS))
        _, program = _processes(runner, job)
        program.send_signal(signal.SIGKILL)
        list(runner.events(job))
        assert runner.status(job).state == "failed"
        assert "was ended by SIGKILL" in runner.status(job).reason

    def test_killed_supervisor_is_a_failure_and_a_retry_starts_anew(self, runner, spec):
        job = runner.submit(spec(**ENDLESS))
        supervisor, program = _processes(runner, job)
        supervisor.send_signal(signal.SIGKILL)
        list(runner.events(job))
        assert runner.status(job).state == "failed"
        assert "ended without a word" in runner.status(job).reason
        # The same spec is started anew, and what the dead supervisor left behind does not run on.
        assert runner.submit(spec(**ENDLESS)) == job
        assert runner.status(job).state == "running"
        assert not program.is_running()
        runner.cancel(job)

    def test_search_that_was_killed_goes_on_and_finds_what_it_would_have_found(self, runner, spec, tmp_path):
        space = {"learning_rate": {"low": 0.05, "high": 0.5}}
        tune = {"trials": 30, "seconds": None, "metric": None, "pruning": False, "space": space}
        searching = spec(estimator="gradient_boosting", parameters={"rounds": 4}, tune=tune)
        # given a search that was killed behind its third trial
        job = runner.submit(searching)
        _, program = _processes(runner, job)
        next(event for event in runner.events(job) if event.text.startswith("trial 3"))
        program.send_signal(signal.SIGKILL)
        list(runner.events(job))
        # when it is submitted again, then it tries nothing twice
        assert runner.submit(searching) == job
        trials = [event.text.split(":")[0] for event in runner.events(job) if event.text.startswith("trial ")]
        assert trials[-1] == "trial 30"
        assert "trial 3" not in trials
        # and its package is that of a search that nobody killed
        other = EmbeddedJobRunner(str(tmp_path / "others"))
        list(other.events(other.submit(searching)))
        assert digest(runner.result(job, tmp_path / "a")) == digest(other.result(job, tmp_path / "b"))

    def test_number_of_a_dead_process_given_to_another_is_not_the_job(self, runner, spec, tmp_path):
        job = runner.submit(spec(**ENDLESS))
        runner.cancel(job)
        another = psutil.Process()
        record = {"state": "running", "pid": another.pid, "started": another.create_time() - 60}
        (tmp_path / "jobs" / job / "status.json").write_text(json.dumps(record))
        assert runner.status(job).state == "failed"

    def test_job_gets_the_threads_that_it_asks_for(self, runner, spec, monkeypatch):
        order = dataclasses.replace(spec(**ENDLESS), needs=Needs(cpu=2.0))
        job = runner.submit(order)
        _, program = _processes(runner, job)
        assert program.environ()["OMP_NUM_THREADS"] == "2"
        runner.cancel(job)

    def test_result_is_not_mixed_with_other_files(self, runner, spec, tmp_path):
        job = runner.submit(spec(estimator="baseline"))
        list(runner.events(job))
        with pytest.raises(PlatformError, match="holds files already"):
            runner.result(job, tmp_path)


def _processes(runner: EmbeddedJobRunner, job: str) -> list[psutil.Process]:
    """The supervisor and the program of a job."""
    leader = runner._record(job)["pid"]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = psutil.Process(leader).children(recursive=True)
        if children:
            return [psutil.Process(leader), *children]
    raise AssertionError("the program did not start")
