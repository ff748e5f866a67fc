from __future__ import annotations

import json
from pathlib import Path

import pytest
from accounts import stand_ins_only

from ml_platform.errors import DeclarationError, PlatformError, ServiceError
from ml_platform.testing import training_set
from ml_platform.testing.stand_in import Cloud
from resources.databricks import edge

FOLDER = "/Volumes/ml/ml_platform/ml_platform/jobs/a"


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(edge.VOLUMES, str(tmp_path / "Volumes"))
    mounted = tmp_path / FOLDER[1:]
    (mounted / "order").mkdir(parents=True)
    return mounted


def order(mounted: Path, **arguments: object) -> None:
    content = {"program": "fit", "arguments": arguments, "threads": 1}
    (mounted / "order" / "order.json").write_text(json.dumps(content))


def test_an_order_in_a_volume_becomes_an_output_and_messages_there(mounted: Path, tmp_path: Path) -> None:
    pin = training_set.write(tmp_path / "set")
    order(mounted, **training_set.fit_arguments(pin, estimator="baseline"))
    assert edge.job(FOLDER) == 0
    assert (mounted / "output" / "model.json").exists()
    assert '"opened"' in (mounted / "events" / "1.json").read_text()


def test_a_program_that_fails_ends_with_its_own_words(
    mounted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = training_set.write(tmp_path / "set")
    order(mounted, **training_set.fit_arguments(pin, label="later"))
    with pytest.raises(SystemExit) as ended:
        edge.main(["job", FOLDER])
    assert str(ended.value).startswith("column later is missing from ")
    assert not (mounted / "output").exists()


def test_a_job_that_names_no_store_asks_for_no_credentials(mounted: Path) -> None:
    order(mounted, training_set={"uri": "/local", "version": 1}, label="late")
    with pytest.raises(PlatformError, match="argument"):
        edge.job(FOLDER)


def test_what_is_lent_to_a_job_is_for_the_table_that_it_reads(cloud: Cloud, prefix: str) -> None:
    uri = f"{cloud.environment['ML_PLATFORM_DATABRICKS_LOCATION']}/{prefix}/tables/a"
    assert sorted(edge.credentials([uri])) == ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    assert edge.credentials([]) == {}
    with pytest.raises(DeclarationError, match="but what is lent to it opens one table"):
        edge.credentials([uri, f"{uri}b"])


@stand_ins_only("databricks")
def test_a_service_that_refuses_twice_is_asked_again(cloud: Cloud, prefix: str) -> None:
    uri = f"{cloud.environment['ML_PLATFORM_DATABRICKS_LOCATION']}/{prefix}/tables/a"
    cloud.inject("throttled", 1)
    cloud.inject("broken", 1)
    assert edge.credentials([uri])


def test_a_table_that_the_job_may_not_read_is_told(cloud: Cloud) -> None:
    with pytest.raises(ServiceError, match="EXTERNAL USE LOCATION on the external location"):
        edge.credentials(["s3://somebody-elses/table"])


def test_an_unknown_command_is_told() -> None:
    with pytest.raises(SystemExit, match="usage: "):
        edge.main(["serve"])
