from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from ml_platform.costs import last_cost, model_tag, require_declared, spent_since, stamp, totals
from ml_platform.engine.prices import Budget, Prices
from ml_platform.errors import BindingError

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MODEL = dg.AssetKey(["models", "late"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def _job(number: int, cost: float | None, environment: str = "prod") -> dict[str, object]:
    return {
        "job_id": f"job-{number}",
        "instance": "large",
        "billable_seconds": 60.0,
        "cost": cost,
        "environment": environment,
    }


def _made(instance: dg.DagsterInstance, *jobs: dict[str, object], **said: str) -> None:
    @dg.asset(key=MODEL)
    def late() -> dg.MaterializeResult[None]:
        took = {"seconds": 2.0, "size_bytes": 100, "jobs": dg.MetadataValue.json(jobs)}
        return dg.MaterializeResult(metadata={**took, **said})

    assert dg.materialize([late], instance=instance).success


def test_what_an_asset_took_is_added_up_by_environment(instance: dg.DagsterInstance) -> None:
    _made(instance, _job(1, 2.0), _job(2, 0.5))
    _made(instance, _job(3, 1.0, "dev"))
    found = totals(instance, LONG_AGO, Prices())
    prod, dev = found["models/late", "prod"], found["models/late", "dev"]
    assert (prod.cost, prod.billable_seconds, prod.jobs, prod.seconds, prod.size_bytes) == (2.5, 120.0, 2, 2.0, 100)
    assert (dev.cost, dev.jobs) == (1.0, 1)
    assert spent_since(instance, LONG_AGO, "prod", Prices())["-"].cost == 2.5
    assert spent_since(instance, datetime(2999, 1, 1, tzinfo=UTC), "prod", Prices()) == {}


def test_a_job_that_two_runs_waited_for_counts_once(instance: dg.DagsterInstance) -> None:
    _made(instance, _job(1, 2.0))
    _made(instance, _job(1, 2.0))
    assert totals(instance, LONG_AGO, Prices())["models/late", "prod"].cost == 2.0


def test_a_job_of_a_failed_run_is_billed_too(instance: dg.DagsterInstance) -> None:
    observed = dg.AssetObservation(MODEL, metadata={"jobs": dg.MetadataValue.json([_job(1, 2.0)])})
    instance.report_runless_asset_event(observed)
    assert spent_since(instance, LONG_AGO, "prod", Prices())["-"].cost == 2.0


def test_the_estimate_is_what_the_last_run_with_a_job_cost(instance: dg.DagsterInstance) -> None:
    assert last_cost(instance, MODEL, "prod", Prices()) is None
    _made(instance, _job(1, 2.0), _job(2, 0.5))
    _made(instance)  # unchanged
    assert last_cost(instance, MODEL, "prod", Prices()) == 2.5
    _made(instance, _job(3, None))
    assert last_cost(instance, MODEL, "prod", Prices()) is None
    assert spent_since(instance, LONG_AGO, "prod", Prices())["-"].machines == {"large"}


def test_what_ran_here_is_of_the_environment_and_the_model_that_it_says(instance: dg.DagsterInstance) -> None:
    _made(instance, **stamp("prod", "late"))
    _made(instance, _job(1, 2.0), **stamp("prod", "late"))
    found = totals(instance, LONG_AGO, Prices())
    assert [*found] == [("models/late", "prod")]
    assert (found["models/late", "prod"].seconds, found["models/late", "prod"].model) == (4.0, "late")
    assert spent_since(instance, LONG_AGO, "prod", Prices())["late"].cost == 2.0


def test_a_budget_of_a_model_that_is_not_declared_is_an_error_for_it_would_limit_nothing() -> None:
    specs = [dg.AssetSpec(MODEL, tags=model_tag("models/late")), dg.AssetSpec("table")]
    require_declared(Prices(model_budgets={"late": Budget(per_month=1)}), specs)
    with pytest.raises(BindingError, match=r"names 'latr', but no such model is declared.*late"):
        require_declared(Prices(model_budgets={"latr": Budget(per_month=1)}), specs)


def test_a_job_that_had_no_price_is_priced_by_the_table_of_now(instance: dg.DagsterInstance) -> None:
    _made(instance, _job(1, None))
    priced = Prices(per_instance_hour={"large": 60.0})
    assert spent_since(instance, LONG_AGO, "prod", priced)["-"].cost == 1.0
    assert last_cost(instance, MODEL, "prod", priced) == 1.0


def test_the_estimate_is_of_a_failed_run_where_that_was_the_last(instance: dg.DagsterInstance) -> None:
    _made(instance, _job(1, 1.0))
    observed = dg.AssetObservation(MODEL, metadata={"jobs": dg.MetadataValue.json([_job(2, 50.0)])})
    instance.report_runless_asset_event(observed)
    assert last_cost(instance, MODEL, "prod", Prices()) == 50.0


def test_however_many_events_there_are_all_count(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.costs._AT_A_TIME", 2)
    for number in range(5):
        _made(instance, _job(number, 1.0))
    assert totals(instance, LONG_AGO, Prices())["models/late", "prod"].cost == 5.0


def test_a_job_of_which_nobody_said_what_it_took_is_named(instance: dg.DagsterInstance) -> None:
    _made(instance, _job(1, 1.0), {**_job(2, None), "billable_seconds": None})
    found = totals(instance, LONG_AGO, Prices())["models/late", "prod"]
    assert (found.jobs, found.cost, found.unknown) == (2, 1.0, {"job-2"})
    assert last_cost(instance, MODEL, "prod", Prices()) is None
