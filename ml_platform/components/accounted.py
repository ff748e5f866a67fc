"""An accounted asset: what its jobs took stands on its materialization, and a budget is asked before one begins."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.binding import environment
from ml_platform.costs import JOBS, stamp

if TYPE_CHECKING:
    from ml_platform.engine.spending import Account

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
        from ml_platform.budgets import account_of, refusal
        from ml_platform.engine.intent import planned
        from ml_platform.engine.spending import OverBudgetError, charged

        if planned():
            return function(context, **given)
        account = account_of(context.instance, context.asset_key, model)
        try:
            with charged(account):
                result = function(context, **given)
        except BaseException as error:
            if isinstance(error, OverBudgetError):
                context.instance.report_runless_asset_event(refusal(account, str(error)))
            if told := _told(account):  # a job that failed is billed too, and what a failed step logs is lost
                said = {**told, **stamp(environment(), model)}
                context.instance.report_runless_asset_event(dg.AssetObservation(context.asset_key, metadata=said))
            raise
        return result._replace(metadata={**(result.metadata or {}), **_told(account)})

    return called


def _told(account: Account) -> Mapping[str, Any]:
    """What the jobs took, as metadata; nothing where none ran."""
    known = [(it.job_id, it.instance, it.billable_seconds, account.prices.of_usage(it)) for it in account.usages]
    jobs = [
        {"job_id": job, "instance": instance, "billable_seconds": seconds, "cost": cost, "environment": environment()}
        for job, instance, seconds, cost in (*known, *((job, "", None, None) for job in account.unknown))
    ]
    if not jobs:
        return {}
    cost = account.cost
    return {
        JOBS: dg.MetadataValue.json(jobs),
        "billable_seconds": sum(usage.billable_seconds for usage in account.usages),
        "cost": "not known"
        if account.unknown
        else "not priced"
        if cost is None
        else f"{cost:g} {account.prices.currency}",
    }
