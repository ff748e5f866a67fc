"""An accounted asset: what its jobs took stands on its materialization, and a budget is asked before one begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.binding import environment, prices
from ml_platform.costs import JOBS, last_cost, spent_since

if TYPE_CHECKING:
    from ml_platform.engine.spending import Account

BUDGET = "budget"
_TAKES = {"context", "job_runner"}


def accounted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; one that runs no job is left as it is."""
    if not set(inspect.signature(function).parameters) >= _TAKES or inspect.isgeneratorfunction(function):
        return function

    @functools.wraps(function)
    def called(context: dg.AssetExecutionContext, **given: Any) -> Any:
        from ml_platform.engine.intent import planned
        from ml_platform.engine.spending import OverBudgetError, charged

        if planned():
            return function(context, **given)
        account = _account(context)
        try:
            with charged(account):
                result = function(context, **given)
        except BaseException as error:
            if isinstance(error, OverBudgetError):
                context.instance.report_runless_asset_event(_check(account, str(error)))
            if account.usages:  # a job that failed is billed too, and what a failed step logs is lost
                told = dg.AssetObservation(context.asset_key, metadata=_told(account))
                context.instance.report_runless_asset_event(told)
            raise
        if account.limited:
            context.instance.report_runless_asset_event(_check(account))
        return result._replace(metadata={**(result.metadata or {}), **_told(account)}) if account.usages else result

    return called


def _account(context: dg.AssetExecutionContext) -> Account:
    from ml_platform.engine.spending import Account

    table, key = prices(), context.asset_key
    if not Account(key.to_user_string(), table).limited:
        return Account(key.to_user_string(), table)
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spent = spent_since(context.instance, month, environment())
    return Account(
        key.to_user_string(),
        table,
        last_cost(context.instance, key, environment()),
        spent.cost,
        frozenset(spent.machines),
    )


def _check(account: Account, refused: str = "") -> dg.AssetCheckEvaluation:
    """The check `budget` of the asset: failed where a job was refused for it, which kept the asset from being made."""
    budget = account.prices.budget
    limits = {"per_run": budget.per_run, "per_month": budget.per_month, "estimate": account.estimate}
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(account.asset.split("/")),
        check_name=BUDGET,
        passed=not refused,
        description=refused or None,
        metadata={
            "spent_this_month": account.spent_this_month + (account.cost or 0.0),
            **{name: value for name, value in limits.items() if value is not None},
        },
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
