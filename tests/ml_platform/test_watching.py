from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.binding import build
from ml_platform.engine.decisions import record
from ml_platform.errors import DeclarationError
from ml_platform.records.retraining import Decision
from ml_platform.testing.project import Project, embedded_services
from ml_platform.watching import RETRAINS, TELL, retrain_is_running, retrain_tags, watching

SAID = {"moved": "failed", "sentence": ""}


@dg.asset(key=["monitors", "x"], check_specs=[dg.AssetCheckSpec("drift", asset=["monitors", "x"])])
def monitor() -> dg.MaterializeResult:
    check = dg.AssetCheckResult(passed=SAID["moved"] == "", check_name="drift", description=f"amount {SAID['moved']}")
    return dg.MaterializeResult(metadata={TELL: SAID["sentence"]}, check_results=[check])


@dg.asset
def breaks() -> None:
    raise ValueError("broken on purpose")


class Told:
    """Two assets, an instance, and the sensor that tells of them."""

    def __init__(self, folder: Path) -> None:
        services = embedded_services(folder / "home")
        watched = watching([*monitor.specs, *breaks.specs], services)
        self.definitions = dg.Definitions.merge(dg.Definitions([monitor, breaks]), watched)
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.file = folder / "home" / "test" / "notices" / "notices.jsonl"

    def make(self, *assets: dg.AssetsDefinition) -> None:
        dg.materialize(list(assets), instance=self.instance, raise_on_error=False)

    def look(self) -> list[str]:
        """The subjects that were told at this look."""
        before = self._subjects()
        repository = self.definitions.get_repository_def()
        with dg.build_sensor_context(self.instance, self.cursor, repository_def=repository) as context:
            repository.get_sensor_def("telling").evaluate_tick(context)
            self.cursor = context.cursor
        return self._subjects()[len(before) :]

    def _subjects(self) -> list[str]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line)["subject"] for line in lines]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    made = Told(tmp_path)
    yield made
    made.instance.dispose()


def test_failed_checks_runs_and_sentences_are_told_once_and_mending_too(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told.look() == []
    told.make(monitor)
    assert told.look() == ["drift of monitors/x"]
    told.make(monitor)
    assert told.look() == []
    monkeypatch.setitem(SAID, "moved", "")
    monkeypatch.setitem(SAID, "sentence", "Learn it anew.")
    told.make(monitor)
    assert told.look() == ["Mended: drift of monitors/x", "monitors/x says"]
    told.make(breaks)
    assert [subject.partition(":")[0] for subject in told.look()] == ["A run failed"]
    assert told.look() == []


def spec(name: str, model: str) -> dg.AssetSpec:
    return dg.AssetSpec(["monitors", name], metadata={RETRAINS: {"model": model, "assets": [model]}})


def test_two_monitors_that_would_retrain_one_model_are_refused(tmp_path: Path) -> None:
    services = embedded_services(tmp_path)
    watching([spec("a__retraining", "models/x"), spec("b__retraining", "models/y")], services)
    with pytest.raises(DeclarationError, match="monitors/a and monitors/b both declare retrain for models/x"):
        watching([spec("a__retraining", "models/x"), spec("b__retraining", "models/x")], services)


def test_without_a_policy_there_is_no_job_to_retrain(shop: Project) -> None:
    repository = shop.definitions.get_repository_def()
    assert "retrain" not in {job.name for job in repository.get_all_jobs()}
    assert "telling" in {sensor.name for sensor in repository.sensor_defs}


@pytest.mark.parametrize(
    ("status", "running"),
    [(dg.DagsterRunStatus.STARTING, True), (dg.DagsterRunStatus.STARTED, True), (dg.DagsterRunStatus.SUCCESS, False)],
)
def test_retrain_is_running_from_its_request_to_its_end(status: dg.DagsterRunStatus, running: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun("retrain", status=status, tags=retrain_tags("models/x")))
        assert retrain_is_running(instance, "models/x") is running
        assert not retrain_is_running(instance, "models/y")


def test_a_retrain_of_another_environment_is_none_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("ML_PLATFORM_ENV", "staging")
        on_its_way = dg.DagsterRun("retrain", status=dg.DagsterRunStatus.STARTED, tags=retrain_tags("models/x"))
        instance.add_run(on_its_way)
        assert retrain_is_running(instance, "models/x")
        monkeypatch.setenv("ML_PLATFORM_ENV", "prod")
        assert not retrain_is_running(instance, "models/x")


def test_a_decision_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    services = embedded_services(tmp_path)
    lakehouse = build(services["lakehouse"])
    for name in ("broken", "x"):
        decision = Decision(1, datetime(2024, 5, 1, tzinfo=UTC), "retrain", ("it has drifted",), 1, 500)
        record(lakehouse.table(f"monitors/{name}__retraining"), lambda _, decision=decision: decision)
    (first,) = Path(lakehouse.table("monitors/broken__retraining").uri).glob("_delta_log/*.json")
    first.write_text("no log")
    watched = watching([spec("broken__retraining", "models/y"), spec("x__retraining", "models/x")], services)
    retraining = next(one for one in watched.sensors or () if one.name == "retraining")
    assert isinstance(retraining, dg.SensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance) as context:
        (request,) = retraining.evaluate_tick(context).run_requests or ()
        assert request.asset_selection == [dg.AssetKey(["models", "x"])]
        instance.add_run(dg.DagsterRun("retrain", status=dg.DagsterRunStatus.STARTED, tags=request.tags))
        with pytest.raises(Exception, match="monitors/broken__retraining"):
            retraining.evaluate_tick(context)
