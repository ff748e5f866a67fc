"""A job runner on Databricks Jobs: one-time runs of the platform's image, each on a machine of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ml_platform.engine import remote_jobs
from ml_platform.engine.machines import chosen
from ml_platform.errors import NotFoundError, PlatformError, ServiceError, missing_extra
from ml_platform.records.job import JobEvent, JobSpec, JobStatus
from ml_platform.records.usage import Usage
from resources.databricks.attempts import PROGRAM, Attempt, Attempts
from resources.databricks.cluster import INSTANCES, cluster
from resources.databricks.runs import LIVE, Runs, state
from resources.databricks.unity_catalog import ENVIRONMENT
from resources.databricks.volume import Volume
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from dagster_databricks.pipes import PipesUnityCatalogVolumesMessageReader
    from databricks.sdk.service.jobs import Run

    from ml_platform.roles.job_runner import JobRunner

_NAME_LENGTH = 100
_TASK = "job"


class DatabricksJobRunner:
    """Submits orders, which wait in a volume, to Jobs 2.2; a job's id is its run's.

    dagster-databricks' own client, PipesDatabricksClient, waits for its run inside of one asset's execution and then
    deletes the messages: nobody could come back by the id. So its reader of messages is used, and not the client.

    catalog, schema, volume: of the volume, which has to exist. prefix: the environment's own. image: the platform's.
    identity: reference to the secret that holds the token by which jobs are known to the workspace.
    instances: machines, ascending, each a `type` with `cpu`, `memory_gib` and, where it has one, `accelerator`.
    spark_version: of the runtime that carries the image. max_seconds: after which the service ends a job.
    stages: tables are sent along as files, for a lakehouse that is not this workspace's.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"databricks"})

    def __init__(
        self,
        catalog: str,
        prefix: str,
        image: str,
        schema: str = "ml_platform",
        volume: str = "ml_platform",
        identity: str = "{{secrets/ml_platform/token}}",
        instances: Sequence[Mapping[str, Any]] = INSTANCES,
        spark_version: str = "16.4.x-scala2.12",
        max_seconds: int = 86_400,
        poll_seconds: float = 2.0,
        stages: bool = False,
    ) -> None:
        self.stages = stages
        self._prefix, self.image, self._identity = prefix, image, identity
        self._instances, self._spark_version = instances, spark_version
        self._max_seconds, self._poll_seconds = max_seconds, poll_seconds
        self._workspace = Workspace()
        self._volume = Volume(self._workspace, f"/Volumes/{catalog}/{schema}/{volume}/{prefix}/jobs")
        self._attempts = Attempts(self._volume)
        self._runs = Runs(self._workspace, prefix, poll_seconds)

    def submit(self, spec: JobSpec) -> str:
        """As the role promises; a failed or cancelled job, and one whose spec has changed, is tried again.

        A run that goes on with an older spec is cancelled first.
        """
        name, fingerprint, machine = self._called(spec)
        last = self._attempts.last(name)
        standing = self._standing(last, machine) if last else None
        if last and standing:
            if last.fingerprint == fingerprint and standing.state in (*LIVE, "succeeded"):
                return standing.job_id
            self.cancel(standing.job_id)
        attempt = Attempt(name, last.number + 1 if last else 1, fingerprint)
        self._attempts.prepare(attempt, spec)
        return self._run_of(attempt, machine)

    def find(self, spec: JobSpec) -> str | None:
        """As the role promises; whether an attempt whose order is whole was submitted is known by submitting it."""
        name, fingerprint, machine = self._called(spec)
        last = self._attempts.last(name)
        if not last or last.fingerprint != fingerprint:
            return None
        standing = self._standing(last, machine)
        return standing.job_id if standing and standing.state in (*LIVE, "succeeded") else None

    def status(self, job_id: str) -> JobStatus:
        """As the role promises; the reason is the program's own where it said one, and the service's otherwise."""
        run = self._runs.find(job_id)
        now = state(run)
        return JobStatus(job_id, now, self._reason(run) if now == "failed" else "")

    def usage(self, job_id: str) -> Usage:
        """What an ended run took: the time of its cluster, its setup included."""
        run = self._runs.find(job_id)
        task = run.tasks[0] if run.tasks else None
        machine = task.new_cluster.node_type_id if task and task.new_cluster else None
        spent = (task.setup_duration or 0) + (task.execution_duration or 0) if task else 0
        return Usage(job_id, machine or "", spent / 1000)

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """As the role promises."""
        folder = self._folder(self._runs.find(job_id))
        ended = lambda: state(self._runs.find(job_id)) not in LIVE  # noqa: E731
        return remote_jobs.events(lambda number: self._chunk(folder, number), ended, self._poll_seconds)

    def cancel(self, job_id: str) -> None:
        """As the role promises. Raises ServiceError where the run has not ended five minutes later."""
        self._runs.cancel(job_id)

    def result(self, job_id: str, into: Path) -> Path:
        """As the role promises."""
        status = self.status(job_id)
        if status.state != "succeeded":
            raise ServiceError(
                f"job {job_id} is {status.state}, but only a succeeded job has a result",
                allowed=f"It said: {status.reason}" if status.reason else "",
            )
        if into.exists() and any(into.iterdir()):
            raise PlatformError(f"folder {into} holds files already, but a result is put into a new or an empty one")
        return self._volume.download(f"{self._folder(self._runs.find(job_id))}/output", into)

    def _called(self, spec: JobSpec) -> tuple[str, str, str]:
        """The name of the spec's job, the fingerprint of what it does, and the type of its machine."""
        name = remote_jobs.job_name(self._prefix, spec.name, _NAME_LENGTH)
        return name, remote_jobs.fingerprint(spec)[:16], str(chosen(spec.needs, self._instances)["type"])

    def _standing(self, attempt: Attempt, machine: str) -> JobStatus | None:
        """How the attempt's run stands; None where the workspace has forgotten it, as it does after some weeks."""
        try:
            return self.status(self._run_of(attempt, machine))
        except NotFoundError:
            return None

    def _run_of(self, attempt: Attempt, machine: str) -> str:
        """The run of an attempt, submitted if it was not; a submission that nobody wrote down is found by its token."""
        job_id = self._attempts.run_of(attempt)
        if job_id is None:
            job_id = str(self._submitted(attempt, machine))
            self._attempts.submitted(attempt, job_id)
        return job_id

    def _submitted(self, attempt: Attempt, machine: str) -> int:
        from databricks.sdk.service.jobs import SparkPythonTask, SubmitTask

        folder = f"{self._volume.root}/{attempt.folder}"
        host = str(self._workspace.client.config.host)
        environment = {"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": self._identity}
        tags = {ENVIRONMENT: self._prefix}
        task = SubmitTask(
            task_key=_TASK,
            spark_python_task=SparkPythonTask(f"{folder}/{PROGRAM}", ["job", folder]),
            new_cluster=cluster(machine, self._spark_version, self.image, environment, tags),
        )
        return self._workspace.ask(
            f"runs/submit of {attempt.name}",
            "the permission to create clusters",
            lambda client: int(
                client.jobs.submit(
                    run_name=attempt.name,
                    tasks=[task],
                    timeout_seconds=self._max_seconds,
                    idempotency_token=attempt.token,
                ).bind()["run_id"]
            ),
        )

    def _folder(self, run: Run) -> str:
        """The folder of the run's attempt, as its task was told it."""
        parameters: Sequence[str] = run.tasks[0].spark_python_task.parameters  # type: ignore[index, union-attr, assignment]
        return parameters[-1].removeprefix(f"{self._volume.root}/")

    def _reason(self, run: Run) -> str:
        result = run.state.result_state if run.state else None
        if result and result.value == "TIMEDOUT":
            return f"the service ended it after {self._max_seconds} seconds, as the setting max_seconds says"
        folder = self._folder(run)
        said = remote_jobs.reason(lambda number: self._chunk(folder, number))
        if said or not run.tasks:
            return said
        task = run.tasks[0].run_id
        output = self._workspace.ask(
            f"runs/get-output of {run.run_id}", "CAN VIEW", lambda client: client.jobs.get_run_output(int(task or 0))
        )
        message = run.state.state_message if run.state else ""
        return output.error or message or "the service does not say why"

    def _chunk(self, folder: str, number: int) -> str | None:
        """One chunk of the messages; None while it is not there."""
        path = f"{self._volume.root}/{folder}/events"
        text = self._reader.download_messages_chunk(number, {"path": path})
        # The reader takes every error for a chunk that is not there yet.
        if text is None and self._volume.holds(f"{folder}/events/{number}.json"):
            return self._volume.get(f"{folder}/events/{number}.json").decode()
        return text

    @cached_property
    def _reader(self) -> PipesUnityCatalogVolumesMessageReader:
        try:
            from dagster_databricks.pipes import PipesUnityCatalogVolumesMessageReader
        except ImportError as error:
            raise missing_extra("databricks", error) from error
        return PipesUnityCatalogVolumesMessageReader(client=self._workspace.client, volume_path=self._volume.root)


if TYPE_CHECKING:
    _: type[JobRunner] = DatabricksJobRunner
