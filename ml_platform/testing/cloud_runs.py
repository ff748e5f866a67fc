"""Dagster runs that end before their job has, killed and terminated, as a contract that every profile keeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

import ml_platform
from ml_platform.records.table import Location
from ml_platform.testing import shop
from ml_platform.testing.cloud_slice import contents, holding, shop_in
from ml_platform.testing.project import Project
from ml_platform.testing.stand_in import Cloud

_MODEL = "models/returns"
_ESTIMATOR = "estimator: linear\n"
# As many rounds as take longer than a run needs to hear of the first ones, and more than anybody waits for.
_FEW, _LONG, _ENDLESS = 10, 8_000, 10**6
_LOCATION = '''\
"""The code location of a project, by the profile in force."""

import {project}
from ml_platform.binding import bindings
from ml_platform.definitions import build_definitions

defs = build_definitions({project}, bindings())
'''


@dataclass(frozen=True)
class Prepared:
    """A project whose training set is made. environment: its name. variables: by which a process finds its services."""

    project: Project
    environment: str
    variables: Mapping[str, str]

    def fits(self, rounds: int) -> None:
        """Its model is from now on made in exactly so many rounds."""
        parameters = f"parameters: {{rounds: {rounds}, early_stopping_rounds: {rounds}}}"
        declared = shop.FILES[f"{_MODEL}/defs.yaml"].replace(
            _ESTIMATOR, f"estimator: gradient_boosting\n  {parameters}\n"
        )
        self.project.write(f"{_MODEL}/defs.yaml", declared)


class Run:
    """`dagster asset materialize` of the model, as a process of its own whose instance is on disk."""

    def __init__(self, prepared: Prepared, home: Path) -> None:
        folder = prepared.project.root.parent
        (folder / "location.py").write_text(_LOCATION.format(project=prepared.project.name))
        root = str(Path(ml_platform.__file__).parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._printed = (home / "printed").open("a")
        select = ["--select", f'key:"{_MODEL}"']
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dagster", "asset", "materialize", "-f", "location.py", *select],
            cwd=folder,
            env={**os.environ, **prepared.variables, "DAGSTER_HOME": str(home), "PYTHONPATH": path},
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self) -> None:
        """The process has ended."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._printed.close()


class CloudRunsContract:
    """What a profile keeps. Inherit it, say the `profile`, have a fixture `cloud` for the class, and supply `jobs`."""

    profile: str

    @pytest.fixture
    def jobs(self) -> Callable[[str], list[str]]:
        """Environment → the ids of all jobs that were ever started in it, asked of the cloud itself."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def prepared(cls, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
        """The shop, up to its training set."""
        folder, environment = tmp_path_factory.mktemp("runs"), f"runs-{uuid4().hex[:6]}"
        variables = {**cloud.environment, "ML_PLATFORM_PROFILE": cls.profile}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in cloud.environment.items():
                patch.setenv(name, value)
            project = shop_in(folder, environment, variables)
            ran = project.run('+key:"training_sets/returns"', shop.EVERYTHING)
            assert ran.success, ran.failures
        own = {"ML_PLATFORM_HOME": str(folder / "home"), "ML_PLATFORM_ENV": environment}
        return Prepared(project, environment, {**variables, **own})

    @pytest.fixture(autouse=True)
    def found(self, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cloud's variables stand in this process."""
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        """Of a Dagster instance on disk."""
        home = tmp_path / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        return home

    @pytest.fixture
    def instance(self, home: Path) -> Iterator[dg.DagsterInstance]:
        """The instance, as whoever looks at it from outside of the run."""
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance

    @pytest.fixture
    def begun(self, prepared: Prepared, home: Path) -> Iterator[Callable[[], Run]]:
        """Begins a run of the model; none goes on after the test."""
        runs: list[Run] = []

        def begin() -> Run:
            runs.append(Run(prepared, home))
            return runs[-1]

        yield begin
        for run in runs:
            run.end()

    def test_a_killed_run_is_taken_up_by_the_next_and_nothing_is_doubled(
        self,
        prepared: Prepared,
        begun: Callable[[], Run],
        instance: dg.DagsterInstance,
        jobs: Callable[[str], list[str]],
    ) -> None:
        # given a run that is killed once its job's id, and something that the job said, stand in the instance
        prepared.fits(_LONG)
        before = jobs(prepared.environment)
        killed = begun()
        heard = _heard(instance, killed)
        assert _status(instance) == dg.DagsterRunStatus.STARTED
        killed.end()
        assert killed.process.returncode == -signal.SIGKILL
        # when the model is materialized again
        again = begun()
        assert again.process.wait() == 0
        # then the second run has heard the same job, from its beginning
        said = _lines(instance)
        assert said[: len(heard)] == heard
        # and there is one job, one version, one materialization
        assert [f"fit job {job}" for job in set(jobs(prepared.environment)) - set(before)] == heard[:1]
        assert len(prepared.project.service("model_registry").versions("returns")) == 1
        made = instance.fetch_materializations(dg.AssetKey(_MODEL.split("/")), limit=10)
        assert len(made.records) == 1

    def test_nothing_secret_is_printed_or_kept_of_a_run(
        self, cloud: Cloud, prepared: Prepared, begun: Callable[[], Run], home: Path
    ) -> None:
        prepared.fits(_FEW)
        assert begun().process.wait() == 0
        printed, instance = (home / "printed").read_bytes(), list(contents(Location("", str(home))))
        machine = list(contents(Location("", str(prepared.project.root.parent.parent))))
        stores = [list(contents(store)) for store in cloud.stores]
        # What each of these was told for sure is found in it; so would be a secret.
        assert b"fit job " in printed
        assert holding([b"fit job "], instance)
        assert all(holding([prepared.environment.encode()], those) for those in (machine, *stores))
        canaries = [secret.encode() for secret in cloud.secrets]
        assert canaries
        every = [("what is printed", printed), *instance, *machine, *(one for those in stores for one in those)]
        assert not holding(canaries, every)

    def test_a_terminated_run_leaves_no_job_running(
        self, prepared: Prepared, begun: Callable[[], Run], instance: dg.DagsterInstance
    ) -> None:
        prepared.fits(_ENDLESS)
        run = begun()
        job = _heard(instance, run)[0].removeprefix("fit job ")
        # As Dagster's launchers end a run: it is marked, and its process told.
        instance.report_run_canceling(instance.get_runs(limit=1)[0])
        run.process.send_signal(signal.SIGTERM)
        run.process.wait()
        assert prepared.project.service("job_runner").status(job).state == "cancelled"
        assert _status(instance) == dg.DagsterRunStatus.CANCELED


def _heard(instance: dg.DagsterInstance, run: Run) -> list[str]:
    """What stands in the instance once the job has said something, while the run goes on."""
    while len(lines := _lines(instance)) < 2:
        assert run.process.poll() is None
        time.sleep(0.2)
    return lines


def _lines(instance: dg.DagsterInstance) -> list[str]:
    """What the last run has logged about its model, in order."""
    runs = instance.get_runs(limit=1)
    entries = instance.all_logs(runs[0].run_id) if runs else []
    return [entry.user_message for entry in entries if entry.step_key and entry.dagster_event is None]


def _status(instance: dg.DagsterInstance) -> dg.DagsterRunStatus:
    """Of the last run."""
    return instance.get_runs(limit=1)[0].status
