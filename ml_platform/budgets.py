"""Budgets: what the profile allows for managed jobs, held against what they took, as a check on whatever runs some."""

# Dagster reads the annotations of a check's function as they stand, so this module does not postpone them.
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ml_platform.binding import environment, prices
from ml_platform.costs import OF_MODEL, Spent, last_cost, spent_since
from ml_platform.engine.prices import Prices
from ml_platform.engine.spending import Account, Limit
from ml_platform.metadata import table

BUDGET = "budget"
_RUNNER = "job_runner"


def budget_checks(assets: Iterable[object], known: Prices) -> dg.Definitions:
    """The check `budget` of every asset that runs jobs and has a budget to keep; none where none is declared."""
    made = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)]
    running = [
        asset.specs_by_key[key] for asset in made if _RUNNER in asset.required_resource_keys for key in asset.keys
    ]
    limited = [spec for spec in running if known.budgets_of(spec.tags.get(OF_MODEL, ""))]
    return dg.Definitions(asset_checks=[_budget(spec.key, spec.tags.get(OF_MODEL, "")) for spec in limited])


def account_of(instance: dg.DagsterInstance, key: dg.AssetKey, model: str) -> Account:
    """What an asset may spend by now. model: the name of the one that it belongs to, or empty."""
    known = prices()
    budgets = known.budgets_of(model)
    if not budgets:
        return Account(key.to_user_string(), known)
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    by_model, whole = spent_since(instance, month, environment(), known), Spent()
    for one in by_model.values():
        whole.add(one)
    limits = []
    for name, budget in budgets.items():
        of = whole if name == BUDGET else by_model.get(model, Spent())
        limits.append(Limit(name, budget, of.cost, frozenset(of.machines), frozenset(of.unknown)))
    return Account(key.to_user_string(), known, last_cost(instance, key, environment(), known), limits)


def refusal(account: Account, why: str) -> dg.AssetCheckEvaluation:
    """The check, failed: a job was refused, which kept the asset from being made."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(account.asset.split("/")),
        check_name=BUDGET,
        passed=False,
        description=why,
        metadata=_told(account),
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
    )


def _budget(key: dg.AssetKey, model: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key,
        name=BUDGET,
        description="What managed jobs took this month is known, and within the profile's budget.",
        blocking=True,
    )
    def budget(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        account = account_of(context.instance, key, model)
        broken = _broken(account.limits)
        return dg.AssetCheckResult(passed=not broken, description=" ".join(broken) or "Kept.", metadata=_told(account))

    return budget


def _broken(limits: Sequence[Limit]) -> list[str]:
    """Why a budget is not kept, a sentence each."""
    said = []
    for limit in limits:
        most = limit.budget.per_month
        if most is not None and limit.spent > most:
            said.append(f"{limit.name}: {limit.spent:g} was spent this month, and {most:g} is allowed.")
        if limit.unpriced:
            said.append(f"{limit.name}: {', '.join(sorted(limit.unpriced))} ran this month and has no price.")
    return said


def _told(account: Account) -> dict[str, Any]:
    rows = [
        {
            "budget": limit.name,
            "per_run": limit.budget.per_run,
            "per_month": limit.budget.per_month,
            "spent_this_month": limit.spent + account.spent,
            "not_known_of": ", ".join(sorted(limit.unknown)) or None,
        }
        for limit in account.limits
    ]
    return {"budgets": table((), rows), **({} if account.estimate is None else {"estimate": account.estimate})}
