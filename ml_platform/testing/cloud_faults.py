"""The faults of a cloud, as a contract: each is survived, nothing is lost, and nothing is left running."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.running import run
from ml_platform.errors import RefusedError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.job import JobSpec
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.job_runner import JobRunner
from ml_platform.testing import training_set
from ml_platform.testing.endpoint_host import infer_request, write_package
from ml_platform.testing.faults import FAULTS
from ml_platform.testing.job_runner import ENDLESS
from ml_platform.testing.stand_in import Cloud
from ml_platform.testing.store_faults import refuse

# What a Dagster run does with a job, as a process that can be killed.
_RUNNING = """
import json, sys
from importlib import import_module
from pathlib import Path
from ml_platform.engine.running import run
from ml_platform.records.job import JobSpec, Needs
given = json.loads(sys.argv[1])
runner = getattr(import_module(given["module"]), given["name"])(**given["settings"])
spec = JobSpec(**{**given["spec"], "needs": Needs(**given["spec"]["needs"])})
run(runner, spec, lambda line: print(line, flush=True), Path(given["into"]))
"""
# The same of an endpoint; the host and the spec come pickled.
_DEPLOYING = """
import pickle, sys
host, spec = pickle.load(sys.stdin.buffer)
host.deploy(spec)
"""
_PATIENCE_SECONDS = 60


class CloudFaultsContract:
    """What a cloud's job runner and endpoint host keep when their cloud does not. Supply the fixtures."""

    @pytest.fixture
    def cloud(self) -> Cloud:
        """The cloud, without a fault."""
        raise NotImplementedError

    @pytest.fixture
    def runner_binding(self) -> ServiceBinding:
        """The job runner under test, in an environment of its own; its jobs may take a minute."""
        raise NotImplementedError

    @pytest.fixture
    def pin(self) -> dict[str, Any]:
        """A training set that jobs can read."""
        raise NotImplementedError

    @pytest.fixture
    def host(self) -> EndpointHost:
        """The endpoint host under test, in an environment of its own, serving nothing."""
        raise NotImplementedError

    @pytest.fixture
    def endpoint(self) -> EndpointSpec:
        """An `endpoint_spec` of version 1, whose views are published."""
        raise NotImplementedError

    @pytest.fixture
    def left(self) -> Callable[[], list[str]]:
        """What the cloud itself says is left in the environment: jobs that have not ended, endpoints, their parts."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self, runner_binding: ServiceBinding) -> Callable[..., JobRunner]:
        """Makes the runner, its settings changed as asked."""
        return lambda **changes: _made(replace(runner_binding, settings={**runner_binding.settings, **changes}))

    @pytest.fixture(autouse=True)
    def ended(self, cloud: Cloud, left: Callable[[], list[str]]) -> Iterator[None]:
        """No fault is left to come, and nothing runs after the test."""
        yield
        for fault in FAULTS:
            cloud.inject(fault, 0)
        assert left() == []

    @pytest.fixture
    def spec(self, pin: dict[str, Any]) -> Callable[..., JobSpec]:
        """Makes the spec of a quick fit, changed as asked."""
        quick = {"estimator": "baseline"}
        return lambda **changes: JobSpec("late@1", "fit", training_set.fit_arguments(pin, **{**quick, **changes}))

    @pytest.mark.parametrize("fault", ["throttled", "broken"])
    def test_a_job_goes_through_a_service_that_refuses_twice(
        self, fault: Any, cloud: Cloud, opened: Callable[..., JobRunner], spec: Callable[..., JobSpec], tmp_path: Path
    ) -> None:
        runner = opened()
        refuse(cloud, fault)
        job = runner.submit(spec())
        refuse(cloud, fault)
        list(runner.events(job))
        assert runner.status(job).state == "succeeded"
        refuse(cloud, fault)
        assert (runner.result(job, tmp_path / "package") / "model.json").exists()

    def test_expired_credentials_are_told_and_nothing_is_started(
        self,
        cloud: Cloud,
        opened: Callable[..., JobRunner],
        spec: Callable[..., JobSpec],
        left: Callable[[], list[str]],
    ) -> None:
        runner = opened()
        cloud.inject("expired", 1000)
        with pytest.raises(ServiceError, match=r"(?i)expired|credential|token"):
            runner.submit(spec())
        cloud.inject("expired", 0)
        assert left() == []
        job = runner.submit(spec())
        list(runner.events(job))
        assert runner.status(job).state == "succeeded"

    def test_a_permission_that_is_not_there_is_told_at_once_and_nothing_is_started(
        self,
        cloud: Cloud,
        opened: Callable[..., JobRunner],
        spec: Callable[..., JobSpec],
        left: Callable[[], list[str]],
    ) -> None:
        runner = opened()
        # Once: whoever asked again would be let in.
        cloud.inject("denied", 1)
        with pytest.raises(RefusedError, match=r"(?i)(denied|permission).* It takes credentials that .* and ") as told:
            runner.submit(spec())
        assert not told.value.retry_helps
        assert not any(secret in str(told.value) for secret in cloud.secrets)
        assert left() == []

    def test_credentials_that_expire_while_a_job_runs_leave_it_to_the_next_run(
        self, cloud: Cloud, opened: Callable[..., JobRunner], spec: Callable[..., JobSpec], tmp_path: Path
    ) -> None:
        runner, wanted, heard = opened(), spec(estimator="gradient_boosting"), list[str]()

        def hear(line: str) -> None:
            heard.append(line)
            if len(heard) == 2:  # the first line is the job's id
                cloud.inject("expired", 1000)

        with pytest.raises(ServiceError, match=r"goes on, .*(?i:expired|credential|token)") as told:
            run(runner, wanted, hear, tmp_path / "never")
        cloud.inject("expired", 0)
        job = heard[0].split()[-1]
        assert job in str(told.value)
        again: list[str] = []
        assert (run(runner, wanted, again.append, tmp_path / "package") / "model.json").exists()
        assert again[0] == heard[0]
        assert again[1] == heard[1]

    def test_a_job_that_dies_is_failed_and_started_anew(
        self, cloud: Cloud, opened: Callable[..., JobRunner], spec: Callable[..., JobSpec]
    ) -> None:
        runner = opened()
        cloud.inject("job_dies", 1)
        job = runner.submit(spec(**ENDLESS))
        list(runner.events(job))
        status = runner.status(job)
        assert status.state == "failed"
        assert status.reason
        again = runner.submit(spec())
        list(runner.events(again))
        assert runner.status(again).state == "succeeded"

    def test_a_job_that_hangs_is_ended_by_its_time_limit(
        self, cloud: Cloud, opened: Callable[..., JobRunner], spec: Callable[..., JobSpec]
    ) -> None:
        runner = opened(max_seconds=3)
        cloud.inject("job_hangs", 1)
        started = time.monotonic()
        job = runner.submit(spec())
        list(runner.events(job))
        assert time.monotonic() - started < _PATIENCE_SECONDS
        status = runner.status(job)
        assert status.state == "failed"
        assert "3 seconds" in status.reason

    def test_a_job_that_hangs_is_cancelled(
        self, cloud: Cloud, opened: Callable[..., JobRunner], spec: Callable[..., JobSpec]
    ) -> None:
        runner = opened()
        cloud.inject("job_hangs", 1)
        job = runner.submit(spec())
        runner.cancel(job)
        assert runner.status(job).state == "cancelled"

    def test_a_killed_run_is_taken_up_where_it_was(
        self,
        runner_binding: ServiceBinding,
        opened: Callable[..., JobRunner],
        spec: Callable[..., JobSpec],
        tmp_path: Path,
    ) -> None:
        wanted = spec(estimator="gradient_boosting")
        given = {**asdict(runner_binding), "spec": asdict(wanted), "into": str(tmp_path / "never")}
        killed = subprocess.Popen(
            [sys.executable, "-c", _RUNNING, json.dumps(given)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert killed.stdout is not None
        job = killed.stdout.readline().split()[-1]
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()

        runner = opened()
        assert runner.submit(wanted) == job
        list(runner.events(job))
        assert runner.status(job).state == "succeeded"
        assert (runner.result(job, tmp_path / "package") / "model.json").exists()

    def test_an_interrupted_run_leaves_no_job_running(
        self,
        runner_binding: ServiceBinding,
        opened: Callable[..., JobRunner],
        spec: Callable[..., JobSpec],
        tmp_path: Path,
    ) -> None:
        given = {**asdict(runner_binding), "spec": asdict(spec(**ENDLESS)), "into": str(tmp_path / "never")}
        run = subprocess.Popen(
            [sys.executable, "-c", _RUNNING, json.dumps(given)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert run.stdout is not None
        job = run.stdout.readline().split()[-1]
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=_PATIENCE_SECONDS)
        assert opened().status(job).state == "cancelled"

    @pytest.mark.parametrize("fault", ["throttled", "broken"])
    def test_an_endpoint_comes_up_on_a_service_that_refuses_twice(
        self, fault: Any, cloud: Cloud, host: EndpointHost, endpoint: EndpointSpec
    ) -> None:
        refuse(cloud, fault)
        assert host.deploy(endpoint).number == 1
        refuse(cloud, fault)
        assert host.invoke(endpoint.name, infer_request("UA1"))["model_version"] == "1"
        host.retire(endpoint.name)

    def test_a_first_deployment_that_never_gets_healthy_leaves_nothing(
        self, cloud: Cloud, host: EndpointHost, endpoint: EndpointSpec, left: Callable[[], list[str]]
    ) -> None:
        cloud.inject("unhealthy", 1)
        with pytest.raises(ServiceError):
            host.deploy(endpoint)
        assert host.describe(endpoint.name) is None
        assert left() == []
        assert host.deploy(endpoint).ready
        host.retire(endpoint.name)

    def test_a_killed_deployment_does_not_block_the_next(
        self, host: EndpointHost, endpoint: EndpointSpec, left: Callable[[], list[str]]
    ) -> None:
        given = pickle.dumps((host, endpoint))
        killed = subprocess.Popen([sys.executable, "-c", _DEPLOYING], stdin=subprocess.PIPE, start_new_session=True)
        assert killed.stdin is not None
        killed.stdin.write(given)
        killed.stdin.close()
        while not left():
            assert killed.poll() is None
        os.killpg(killed.pid, signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL

        assert host.deploy(endpoint).ready
        assert host.invoke(endpoint.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]
        host.retire(endpoint.name)
        assert left() == []

    @pytest.mark.parametrize("fault", ["unhealthy", "rolled_back"])
    def test_an_update_that_does_not_take_is_told_and_what_served_serves_on(
        self, fault: Any, cloud: Cloud, host: EndpointHost, endpoint: EndpointSpec, tmp_path: Path
    ) -> None:
        package = write_package(tmp_path / "successor", rate=0.75)
        successor = replace(endpoint, packages={2: str(package)}, split=TrafficSplit({2: 1.0}))
        before = host.deploy(endpoint)
        cloud.inject(fault, 1)
        with pytest.raises(ServiceError):
            host.deploy(successor)
        assert host.describe(endpoint.name) == before
        assert host.invoke(endpoint.name, infer_request("UA1"))["outputs"][0]["data"] == [0.25]
        after = host.deploy(successor)
        assert host.describe(endpoint.name) == after
        assert list(after.digests) == [2]
        assert host.invoke(endpoint.name, infer_request("UA1"))["outputs"][0]["data"] == [0.75]
        host.retire(endpoint.name)

    def test_expired_credentials_change_nothing_that_serves(
        self, cloud: Cloud, host: EndpointHost, endpoint: EndpointSpec, tmp_path: Path
    ) -> None:
        package = write_package(tmp_path / "successor", rate=0.75)
        before = host.deploy(endpoint)
        cloud.inject("expired", 1000)
        with pytest.raises(ServiceError, match=r"(?i)expired|credential|token"):
            host.deploy(replace(endpoint, packages={2: str(package)}, split=TrafficSplit({2: 1.0})))
        cloud.inject("expired", 0)
        assert host.describe(endpoint.name) == before
        host.retire(endpoint.name)


def _made(binding: ServiceBinding) -> JobRunner:
    from ml_platform.jobs.serving.served import built

    runner: JobRunner = built(binding)
    return runner
