"""Spending: what the jobs of one asset took, as their service says, and whether another may begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ml_platform.engine.prices import Budget, Prices
from ml_platform.errors import RefusedError, ServiceError
from ml_platform.records.job import JobSpec
from ml_platform.records.usage import Usage


class OverBudgetError(RefusedError):
    """A managed job would cost more than its budget has left; nothing was submitted."""


@dataclass(frozen=True)
class Limit:
    """A budget, and what was spent of it. name: where it stands below `prices` in the profile.

    spent: this month, in the currency of the prices. unpriced: machines that have no price, unknown: jobs of which
    their service did not say what they took; with any of these nobody knows what is left.
    """

    name: str
    budget: Budget
    spent: float = 0.0
    unpriced: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


@dataclass
class Account:
    """One asset's, while it is made. estimate: what a job of it cost last; None where none ever did.

    limits: the budgets that it has to keep, each alone. usages: of the jobs that ran meanwhile; unknown: those of which
    the service does not say it yet.
    """

    asset: str
    prices: Prices
    estimate: float | None = None
    limits: Sequence[Limit] = ()
    usages: list[Usage] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """What the jobs cost so far, as far as it is known."""
        return sum(self.prices.of_usage(usage) or 0.0 for usage in self.usages)

    @property
    def cost(self) -> float | None:
        """What the jobs cost; None where that is not known of any of them, or none ran."""
        known = [self.prices.of_usage(usage) for usage in self.usages]
        return round(self.spent, 6) if known and None not in known and not self.unknown else None


_ACCOUNT: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def charged(account: Account) -> Iterator[None]:
    """What jobs take inside is charged to the account."""
    token = _ACCOUNT.set(account)
    try:
        yield
    finally:
        _ACCOUNT.reset(token)


def require_affordable(spec: JobSpec, runner: Any) -> None:
    """Returns where a managed job may begin; else raises OverBudgetError, before anything of it is submitted.

    The estimate is what the asset's last run with a job cost; a first one has none, and begins while anything is left.
    With nothing left of the month, nothing begins; nor does anything where what was spent is not known, for a job of
    this month ran on a machine that has no price, or its service does not say what it took.
    """
    account = _ACCOUNT.get()
    if account is None or not account.limits or not hasattr(runner, "usage"):
        return
    if runner.find(spec):  # what has begun, or was done, is attached to
        return
    for limit in account.limits:
        late = [_asked(spec, account, limit, runner, job_id) for job_id in sorted({*limit.unknown, *account.unknown})]
        _require_known(spec, account, limit, late)
        _require_left(spec, account, limit, sum(account.prices.of_usage(usage) or 0.0 for usage in late))


def _asked(spec: JobSpec, account: Account, limit: Limit, runner: Any, job_id: str) -> Usage:
    """What a job took of which its service did not say it at the time."""
    try:
        usage: Usage = runner.usage(job_id)
    except ServiceError as error:
        raise OverBudgetError(
            f"the {spec.program} job of {account.asset} has {limit.name} to keep, but what the job {job_id} took this "
            f"month is not known, and so not what is left: {error}",
            remedy="Run again when its service says it; nothing was submitted",
        ) from error
    return usage


def _require_known(spec: JobSpec, account: Account, limit: Limit, late: Sequence[Usage]) -> None:
    """Returns where every machine that was billed this month has a price by now."""
    billed = limit.unpriced | {usage.instance for usage in (*account.usages, *late)}
    lacking = sorted(billed - account.prices.per_instance_hour.keys())
    if lacking:
        raise OverBudgetError(
            f"the {spec.program} job of {account.asset} has {limit.name} to keep, but {', '.join(lacking)} ran this "
            "month and has no price, so that nobody knows what is left",
            remedy="Write its price to prices.per_instance_hour in the profile; nothing was submitted",
        )


def _require_left(spec: JobSpec, account: Account, limit: Limit, late: float) -> None:
    """late: what jobs cost that are not in what the limit knows to be spent."""
    budget, here = limit.budget, account.spent
    # Of the estimate, which is a whole run's, the jobs of this run so far have used up their part.
    rest = max((account.estimate or 0.0) - here, 0.0)
    if budget.per_run is not None and (here + rest > budget.per_run or (here and here >= budget.per_run)):
        raise _refused(spec, account, f"a run may cost {budget.per_run:g}", f"{limit.name}.per_run")
    if budget.per_month is not None:
        left = budget.per_month - limit.spent - late - here
        if left <= 0 or rest > left:
            why = f"{max(left, 0):g} of the month's {budget.per_month:g} is left"
            raise _refused(spec, account, why, f"{limit.name}.per_month")


def charge(runner: Any, job_id: str, say: Callable[[str], None]) -> None:
    """What an ended job took stands in the account. say: told where its service does not say it just now."""
    account = _ACCOUNT.get()
    if account is None or not hasattr(runner, "usage"):
        return
    try:
        account.usages.append(runner.usage(job_id))
    except ServiceError as error:  # what the job has done is not lost for it
        account.unknown.append(job_id)
        say(f"what the job {job_id} cost is not known yet: {error}")


def charge_later(runner: Any, job_id: str) -> None:
    """A job that was cancelled is billed for what it ran, which its service says only once it has ended."""
    account = _ACCOUNT.get()
    if account is not None and hasattr(runner, "usage"):
        account.unknown.append(job_id)


def _refused(spec: JobSpec, account: Account, why: str, limit: str) -> OverBudgetError:
    told = "of unknown cost" if account.estimate is None else f"of about {account.estimate:g}"
    return OverBudgetError(
        f"the {spec.program} job of {account.asset} is one {told} {account.prices.currency}, but {why}",
        remedy=f"Raise prices.{limit} in the profile, or ask for less; nothing was submitted",
    )
