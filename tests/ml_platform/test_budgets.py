from __future__ import annotations

import dagster as dg
import pytest

from ml_platform.budgets import BUDGET, budget_checks
from ml_platform.costs import model_tag, stamp
from ml_platform.engine.prices import Budget, Prices

LATE, OTHER = dg.AssetKey(["models", "late"]), dg.AssetKey(["models", "other"])
PRICES = Prices("USD", "", {"large": 2.0}, model_budgets={"late": Budget(per_month=3.0)})


def _asset(key: dg.AssetKey, **job: object) -> dg.AssetsDefinition:
    def made() -> dg.MaterializeResult[None]:
        usage = {"job_id": "j", "instance": "large", "billable_seconds": 3600.0, "environment": "test", **job}
        return dg.MaterializeResult(metadata={"jobs": dg.MetadataValue.json([usage]), **stamp("test", key.path[-1])})

    tags = model_tag(key.to_user_string())
    return dg.asset(key=key, required_resource_keys={"job_runner"}, tags=tags)(made)


def _checked(monkeypatch: pytest.MonkeyPatch, **job: object) -> dg.AssetCheckEvaluation:
    monkeypatch.setattr("ml_platform.budgets.prices", lambda: PRICES)
    asset = _asset(LATE, **job)
    (check,) = budget_checks([asset], PRICES).asset_checks or ()
    ran = dg.materialize([asset, check], resources={"job_runner": None}, raise_on_error=False)  # type: ignore[list-item] # a check is one too
    (found,) = ran.get_asset_check_evaluations()
    return found


def test_what_runs_jobs_and_has_a_budget_has_the_check_and_nothing_else() -> None:
    table = dg.asset(key="table")(lambda: None)
    found = budget_checks([_asset(LATE), _asset(OTHER), table], PRICES).asset_checks or ()
    assert [key for check in found for key in check.check_keys] == [dg.AssetCheckKey(LATE, BUDGET)]  # type: ignore[union-attr]
    assert not budget_checks([_asset(LATE)], Prices()).asset_checks


def test_check_says_what_was_spent_and_passes_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _checked(monkeypatch, cost=2.0)
    assert (found.passed, found.description, found.blocking) == (True, "Kept.", True)
    (row,) = found.metadata["budgets"].records
    assert (row.data["budget"], row.data["spent_this_month"]) == ("budget.models.late", 2.0)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"cost": 3.5}, "budget.models.late: 3.5 was spent this month, and 3 is allowed."),
        ({"cost": None, "instance": "huge"}, "budget.models.late: huge ran this month and has no price."),
    ],
)
def test_check_fails_beyond_the_budget_and_where_nobody_knows(
    job: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _checked(monkeypatch, **job)
    assert (found.passed, found.description) == (False, said)
