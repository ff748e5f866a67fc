from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from accounts import stand_ins_only

from ml_platform.errors import PlatformError, ServiceError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.job import JobSpec, Needs
from ml_platform.testing import training_set
from ml_platform.testing.job_runner import ENDLESS, JobRunnerContract
from ml_platform.testing.stand_in import Cloud
from resources.aws.job_runner import AwsJobRunner, _unpack
from resources.aws.lakehouse import AwsLakehouse

SpecMaker = Callable[..., JobSpec]


def runner_in(place: dict[str, str], **settings: Any) -> AwsJobRunner:
    image, role = os.environ["ML_PLATFORM_IMAGE"], os.environ["ML_PLATFORM_AWS_ROLE"]
    return AwsJobRunner(image, role, **place, **{"poll_seconds": 0.1, **settings})


@pytest.fixture
def runner(place: dict[str, str]) -> AwsJobRunner:
    return runner_in(place)


@pytest.fixture
def pin(place: dict[str, str]) -> dict[str, Any]:
    from deltalake import DeltaTable, write_deltalake

    table = AwsLakehouse(**place).table("training_set")
    write_deltalake(table.uri, training_set.rows(), storage_options=table.options)
    version = DeltaTable(table.uri, storage_options=table.options).version()
    return {"uri": table.uri, "version": version, "storage_options": table.storage_options}


class TestAwsJobRunner(JobRunnerContract):
    @pytest.fixture
    def runner(self, runner: AwsJobRunner) -> AwsJobRunner:
        return runner

    @pytest.fixture
    def pin(self, pin: dict[str, Any]) -> dict[str, Any]:
        return pin


@pytest.fixture
def spec(pin: dict[str, Any]) -> SpecMaker:
    return lambda **changes: JobSpec("late@1", "fit", training_set.fit_arguments(pin, **changes))


def attempts(place: dict[str, str]) -> list[str]:
    client = boto3.client("sagemaker")
    found = client.list_training_jobs(NameContains=place["prefix"], SortOrder="Ascending")["TrainingJobSummaries"]
    client.close()
    return [job["TrainingJobName"] for job in found]


def test_changed_spec_under_the_same_name_is_another_attempt_and_ends_the_first(
    runner: AwsJobRunner, spec: SpecMaker, place: dict[str, str], tmp_path: Path
) -> None:
    first = runner.submit(spec(**ENDLESS))
    second = runner.submit(spec())
    assert attempts(place) == [first, second]
    assert (first.endswith("-fit-1"), second.endswith("-fit-2")) == (True, True)
    assert runner.status(first).state == "cancelled"
    list(runner.events(second))
    assert (runner.result(second, tmp_path / "package") / "weights.json").exists()


def test_score_is_a_processing_job_that_hands_over_its_rows(
    runner: AwsJobRunner, pin: dict[str, Any], tmp_path: Path
) -> None:
    local = training_set.write(tmp_path / "table")
    (tmp_path / "model").mkdir()
    fit(JobOrder(training_set.fit_arguments(local, estimator="baseline"), {}), tmp_path / "model")
    arguments = {"rows": {**pin, "where": [["split", "=", "test"]]}, "models": {"1": "champion"}, "keep": ["id"]}
    job = runner.submit(JobSpec("scores", "score", arguments, folders={"champion": str(tmp_path / "model")}))
    metrics = {event.text: event.value for event in runner.events(job) if event.kind == "metric"}
    assert (runner.status(job).state, metrics["rows"]) == ("succeeded", 1000.0)
    rows = pq.read_table(runner.result(job, tmp_path / "scored") / "scores.parquet")
    assert rows.column("id").to_pylist() == list(range(4000, 5000))


@stand_ins_only("aws")
def test_hanging_score_is_failed_at_its_time_limit(place: dict[str, str], cloud: Cloud) -> None:
    runner = runner_in(place, max_seconds=1)
    cloud.inject("job_hangs", 1)
    job = runner.submit(JobSpec("scores", "score", {"rows": {}, "models": {}, "keep": []}))
    assert list(runner.events(job)) == []
    assert runner.status(job).state == "failed"
    assert "max_seconds is 1 seconds" in runner.status(job).reason


def test_job_of_our_name_that_somebody_else_made_is_not_touched(
    runner: AwsJobRunner, spec: SpecMaker, place: dict[str, str]
) -> None:
    job = runner.submit(spec(**ENDLESS))
    client = boto3.client("sagemaker")
    arn = client.describe_training_job(TrainingJobName=job)["TrainingJobArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "ml_platform_environment", "Value": "theirs"}])
    client.close()
    with pytest.raises(ServiceError, match="It is somebody else's"):
        runner.submit(spec())
    assert runner.status(job).state in ("pending", "running")
    runner.cancel(job)


def test_environments_have_jobs_of_their_own(place: dict[str, str], spec: SpecMaker) -> None:
    dev, prod = (runner_in({**place, "prefix": f"{place['prefix']}-{name}"}) for name in ("dev-1", "prod"))
    jobs = [dev.submit(spec()), prod.submit(spec())]
    assert len(set(jobs)) == 2
    for runner, job in zip((dev, prod), jobs, strict=True):
        list(runner.events(job))
        assert runner.status(job).state == "succeeded"


def test_job_that_does_not_fit_any_instance_is_refused_before_anything_is_sent(
    runner: AwsJobRunner, spec: SpecMaker, place: dict[str, str]
) -> None:
    order = spec()
    with pytest.raises(ServiceError, match="no listed machine type has so much"):
        runner.submit(JobSpec(order.name, "fit", order.arguments, needs=Needs(cpu=1000)))
    assert attempts(place) == []


def test_table_on_the_callers_disk_is_out_of_a_jobs_sight(runner: AwsJobRunner, tmp_path: Path) -> None:
    pin = training_set.write(tmp_path / "table")
    job = runner.submit(JobSpec("late@1", "fit", training_set.fit_arguments(pin)))
    list(runner.events(job))
    assert runner.status(job).state == "failed"
    assert "cannot be opened there" in runner.status(job).reason


def test_result_is_not_mixed_with_other_files(runner: AwsJobRunner, spec: SpecMaker, tmp_path: Path) -> None:
    job = runner.submit(spec())
    list(runner.events(job))
    with pytest.raises(PlatformError, match="holds files already"):
        runner.result(job, Path(__file__).parent)


@pytest.mark.parametrize(("name", "link"), [("../evil", ""), ("result/evil", "../../../etc/passwd")])
def test_an_archive_that_leads_out_of_its_folder_is_refused_and_nothing_of_it_is_taken(
    name: str, link: str, tmp_path: Path
) -> None:
    archive, into = tmp_path / "model.tar.gz", tmp_path / "into"
    with tarfile.open(archive, "w:gz") as tar:
        for path, target in (("result/good", ""), (name, link)):
            member = tarfile.TarInfo(path)
            member.type, member.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.REGTYPE, "")
            tar.addfile(member, io.BytesIO(b""))
    with pytest.raises(ServiceError, match="cannot be unpacked, or names what is not its own"):
        _unpack(archive, into)
    assert not into.exists()


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"not one")
    with pytest.raises(ServiceError, match="cannot be unpacked"):
        _unpack(tmp_path / "model.tar.gz", tmp_path / "into")
