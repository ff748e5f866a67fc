from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from ml_platform.budgets import BUDGET
from ml_platform.components.accounted import accounted, stamped
from ml_platform.costs import totals
from ml_platform.engine.prices import Budget, Prices
from ml_platform.engine.running import run
from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.records.job import JobSpec, JobStatus
from ml_platform.records.usage import Usage


def _runner(state: str = "succeeded", job: str = "job-1") -> SimpleNamespace:
    """A managed runner whose every job takes an hour."""
    return SimpleNamespace(
        find=lambda spec: None,
        submit=lambda spec: job,
        events=lambda job_id: iter(()),
        status=lambda job_id: JobStatus(job_id, state, "it broke"),
        result=lambda job_id, into: into,
        cancel=lambda job_id: None,
        usage=lambda job_id: Usage(job_id, "large", 3600.0),
    )


def _materialized(
    tmp_path: Path, runner: SimpleNamespace, instance: dg.DagsterInstance, of_model: str = ""
) -> dg.ExecuteInProcessResult:
    def model(context: dg.AssetExecutionContext, job_runner: dg.ResourceParam[object]) -> dg.MaterializeResult[None]:
        run(job_runner, JobSpec("late@1", "fit", {}), context.log.info, tmp_path)  # type: ignore[arg-type] # a fake
        return dg.MaterializeResult(metadata={"version": 1})

    model.__annotations__ = {"context": dg.AssetExecutionContext, "job_runner": dg.ResourceParam[object]}
    counted = accounted(model, of_model)

    def safe(context: dg.AssetExecutionContext, job_runner: dg.ResourceParam[object]) -> object:
        return stamped(counted(context=context, job_runner=job_runner), of_model)

    safe.__annotations__ = {**model.__annotations__, "return": dg.MaterializeResult}
    asset = dg.asset(safe, name=of_model or "model")
    return dg.materialize([asset], instance=instance, resources={"job_runner": runner}, raise_on_error=False)


@pytest.fixture(autouse=True)
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Prices("USD", "", {"large": 2.0}, budget=Budget(per_month=3.0))
    monkeypatch.setattr("ml_platform.budgets.prices", lambda: table)


def test_what_a_job_took_stands_on_the_materialization_and_counts_against_the_month(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        (made,) = _materialized(tmp_path, _runner(), instance).asset_materializations_for_node("model")
        said = {name: value.value for name, value in made.metadata.items()}
        assert (said["version"], said["billable_seconds"], said["cost"]) == (1, 3600.0, "2 USD")
        assert said["jobs"] == [
            {"job_id": "job-1", "instance": "large", "billable_seconds": 3600.0, "cost": 2.0, "environment": "test"}
        ]
        # of 3 a month, 1 is left, and another would cost about 2
        refused = _materialized(tmp_path, _runner(), instance)
        (failure,) = [event for event in refused.all_events if event.is_step_failure]
        assert "but 1 of the month's 3 is left" in failure.step_failure_data.error_display_string
        # and the asset's check says so, though nothing was made that it could be run behind
        checks = [
            record.event.dagster_event.asset_check_evaluation_data
            for record in instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey("model"), BUDGET), limit=10
            )
            if record.event and record.event.dagster_event
        ]
        assert [(check.passed, check.blocking) for check in checks] == [(False, True)]
        assert "but 1 of the month's 3 is left" in str(checks[0].description)


def test_a_model_s_own_budget_counts_what_belongs_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Prices("USD", "", {"large": 2.0}, model_budgets={"late": Budget(per_month=3.0)})
    monkeypatch.setattr("ml_platform.budgets.prices", lambda: table)
    with dg.DagsterInstance.ephemeral() as instance:
        assert _materialized(tmp_path, _runner(job="job-1"), instance, "late").success
        assert _materialized(tmp_path, _runner(job="job-2"), instance, "other").success
        refused = _materialized(tmp_path, _runner(job="job-3"), instance, "late")
        (failure,) = [event for event in refused.all_events if event.is_step_failure]
        said = failure.step_failure_data.error_display_string
        assert "but 1 of the month's 3 is left" in said
        assert "Raise prices.budget.models.late.per_month" in said


def test_a_job_that_failed_is_billed_too(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        failed = _materialized(tmp_path, _runner("failed"), instance)
        assert not failed.success
        assert totals(instance, datetime(2020, 1, 1, tzinfo=UTC), Prices())["model", "test"].cost == 2.0


def test_a_job_that_was_cancelled_is_remembered_until_its_service_says_what_it_took(tmp_path: Path) -> None:
    def interrupted(job_id: str) -> object:
        raise KeyboardInterrupt

    runner = _runner()
    runner.events = interrupted
    with dg.DagsterInstance.ephemeral() as instance:
        assert not _materialized(tmp_path, runner, instance).success
        assert totals(instance, datetime(2020, 1, 1, tzinfo=UTC), Prices())["model", "test"].unknown == {"job-1"}
        # of 3 a month, 1 is left once the service is asked again, and nobody knows what is where it cannot say
        runner.events = lambda job_id: iter(())
        runner.usage = _away
        refused = _materialized(tmp_path, runner, instance)
        (failure,) = [event for event in refused.all_events if event.is_step_failure]
        assert "what the job job-1 took this month is not known" in failure.step_failure_data.error_display_string
        assert _materialized(tmp_path, _runner(), instance).success


def _away(job_id: str) -> Usage:
    raise TransientServiceError("the service is away")


def test_an_asset_that_runs_no_job_is_left_as_it_is() -> None:
    def table(context: object, lakehouse: object) -> None:
        raise ServiceError("it is not called")

    assert accounted(table) is table
