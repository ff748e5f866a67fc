"""An accounted asset: what its jobs took stands on its materialization, and a budget is asked before one begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.binding import environment, prices
from ml_platform.costs import JOBS, Spent, last_cost, spent_since, stamp
from ml_platform.metadata import table

if TYPE_CHECKING:
    from ml_platform.engine.spending import Account

BUDGET = "budget"
_TAKES = {"context", "job_runner"}


def stamped(result: Any, model: str) -> Any:
    """The same result; a materialization says its environment, and the model that it belongs to."""
    if not isinstance(result, dg.MaterializeResult):
        return result
    return result._replace(metadata={**(result.metadata or {}), **stamp(environment(), model)})


def accounted(function: Callable[..., Any], model: str = "") -> Callable[..., Any]:
    """The same function; one that runs no job is left as it is. model: the name of the one that it belongs to."""
    if not set(inspect.signature(function).parameters) >= _TAKES or inspect.isgeneratorfunction(function):
        return function

    @functools.wraps(function)
    def called(context: dg.AssetExecutionContext, **given: Any) -> Any:
        from ml_platform.engine.intent import planned
        from ml_platform.engine.spending import OverBudgetError, charged

        if planned():
            return function(context, **given)
        account = _account(context, model)
        try:
            with charged(account):
                result = function(context, **given)
        except BaseException as error:
            if isinstance(error, OverBudgetError):
                context.instance.report_runless_asset_event(_check(account, str(error)))
            if account.usages:  # a job that failed is billed too, and what a failed step logs is lost
                told = {**_told(account), **stamp(environment(), model)}
                context.instance.report_runless_asset_event(dg.AssetObservation(context.asset_key, metadata=told))
            raise
        if account.limits:
            context.instance.report_runless_asset_event(_check(account))
        return result._replace(metadata={**(result.metadata or {}), **_told(account)}) if account.usages else result

    return called


def _account(context: dg.AssetExecutionContext, model: str) -> Account:
    from ml_platform.engine.spending import Account, Limit

    known, key = prices(), context.asset_key
    budgets = known.budgets_of(model)
    if not budgets:
        return Account(key.to_user_string(), known)
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    by_model, whole = spent_since(context.instance, month, environment()), Spent()
    for one in by_model.values():
        whole.add(one)
    limits = []
    for name, budget in budgets.items():
        of = whole if name == BUDGET else by_model.get(model, Spent())
        limits.append(Limit(name, budget, of.cost, frozenset(of.machines)))
    return Account(key.to_user_string(), known, last_cost(context.instance, key, environment()), limits)


def _check(account: Account, refused: str = "") -> dg.AssetCheckEvaluation:
    """The check `budget` of the asset: failed where a job was refused for it, which kept the asset from being made."""
    taken = account.cost or 0.0
    rows = [
        {
            "budget": limit.name,
            "per_run": limit.budget.per_run,
            "per_month": limit.budget.per_month,
            "spent_this_month": limit.spent + taken,
        }
        for limit in account.limits
    ]
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(account.asset.split("/")),
        check_name=BUDGET,
        passed=not refused,
        description=refused or None,
        metadata={"budgets": table((), rows), **({} if account.estimate is None else {"estimate": account.estimate})},
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
    )


def _told(account: Account) -> Mapping[str, Any]:
    """What the jobs took, as metadata."""
    jobs = [
        {
            "job_id": usage.job_id,
            "instance": usage.instance,
            "billable_seconds": usage.billable_seconds,
            "cost": account.prices.of_usage(usage),
            "environment": environment(),
        }
        for usage in account.usages
    ]
    cost = account.cost
    return {
        JOBS: dg.MetadataValue.json(jobs),
        "billable_seconds": sum(usage.billable_seconds for usage in account.usages),
        "cost": "not priced" if cost is None else f"{cost:g} {account.prices.currency}",
    }
