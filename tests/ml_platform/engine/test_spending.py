from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.prices import Budget, Prices
from ml_platform.engine.running import run
from ml_platform.engine.spending import Account, Limit, charged
from ml_platform.errors import RefusedError, TransientServiceError
from ml_platform.records.job import JobSpec, JobStatus
from ml_platform.records.usage import Usage

SPEC = JobSpec("late@1", "fit", {})
HOURLY = {"large": 2.0}


class Managed:
    """A runner whose every job takes an hour of a large machine, and that remembers what was submitted."""

    stages = False

    def __init__(self, *, stands: str | None = None, dumb: bool = False) -> None:
        self.submitted: list[str] = []
        self._stands, self._dumb = stands, dumb

    def find(self, spec: JobSpec) -> str | None:
        return self._stands

    def submit(self, spec: JobSpec) -> str:
        self.submitted.append(spec.name)
        return "job-1"

    def events(self, job_id: str):  # type: ignore[no-untyped-def]
        return iter(())

    def status(self, job_id: str) -> JobStatus:
        return JobStatus(job_id, "succeeded")

    def cancel(self, job_id: str) -> None:
        raise AssertionError("nothing is to be cancelled")

    def result(self, job_id: str, into: Path) -> Path:
        return into

    def usage(self, job_id: str) -> Usage:
        if self._dumb:
            raise TransientServiceError("the service is away")
        return Usage(job_id, "large", 3600.0)


def _run(account: Account, runner: Managed, tmp_path: Path) -> list[str]:
    said: list[str] = []
    with charged(account):
        run(runner, SPEC, said.append, tmp_path)
    return said


def _account(budget: Budget, estimate: float | None = None, spent: float = 0.0) -> Account:
    return Account("models/late", Prices("USD", "", HOURLY), estimate, [Limit("budget", budget, spent)])


def test_what_a_job_took_is_charged_as_its_service_reports_it(tmp_path: Path) -> None:
    account = _account(Budget())
    _run(account, Managed(), tmp_path)
    assert account.usages == [Usage("job-1", "large", 3600.0)]
    assert account.cost == 2.0


def test_a_job_of_a_machine_without_a_price_has_no_cost(tmp_path: Path) -> None:
    account = Account("models/late", Prices())
    _run(account, Managed(), tmp_path)
    assert account.cost is None


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (_account(Budget(per_run=1.5), estimate=2.0), "of about 2 USD, but a run may cost 1.5"),
        (_account(Budget(per_month=10), estimate=2.0, spent=9.0), "but 1 of the month's 10 is left"),
        (_account(Budget(per_month=10), spent=10.0), "of unknown cost USD, but 0 of the month's 10 is left"),
    ],
)
def test_a_job_beyond_the_budget_is_refused_before_it_is_submitted(account: Account, said: str, tmp_path: Path) -> None:
    runner = Managed()
    with pytest.raises(RefusedError, match=said):
        _run(account, runner, tmp_path)
    assert runner.submitted == []


def test_a_job_within_the_budget_runs_and_what_it_cost_counts_for_the_next(tmp_path: Path) -> None:
    account, runner = _account(Budget(per_month=2), estimate=2.0), Managed()
    _run(account, runner, tmp_path)
    with pytest.raises(RefusedError, match="but 0 of the month's 2 is left"):
        _run(account, runner, tmp_path)
    assert runner.submitted == ["late@1"]


def test_of_an_estimate_the_jobs_of_the_run_so_far_have_used_up_their_part(tmp_path: Path) -> None:
    # last time two jobs of 2 each ran; of 5, the first leaves 3, and 2 are to come
    account, runner = _account(Budget(per_run=4, per_month=5), estimate=4.0), Managed()
    _run(account, runner, tmp_path)
    _run(account, runner, tmp_path)
    with pytest.raises(RefusedError, match="but a run may cost 4"):
        _run(account, runner, tmp_path)
    assert len(runner.submitted) == 2


def test_what_a_service_could_not_say_at_the_time_is_asked_again(tmp_path: Path) -> None:
    limits, runner = [Limit("budget", Budget(per_month=3), unknown=frozenset({"job-0"}))], Managed()
    account = Account("models/late", Prices("USD", "", HOURLY), 2.0, limits)
    with pytest.raises(RefusedError, match="1 of the month's 3 is left"):
        _run(account, runner, tmp_path)
    with pytest.raises(RefusedError, match=r"what the job job-0 took this month is not known.*the service is away"):
        _run(account, Managed(dumb=True), tmp_path)
    assert runner.submitted == []


def test_each_budget_has_to_be_kept(tmp_path: Path) -> None:
    runner = Managed()
    limits = [Limit("budget", Budget(per_month=100)), Limit("budget.models.late", Budget(per_month=10), spent=9.0)]
    with pytest.raises(
        RefusedError, match=r"1 of the month's 10 is left.*Raise prices\.budget\.models\.late\.per_month"
    ):
        _run(Account("models/late", Prices("USD", "", HOURLY), 2.0, limits), runner, tmp_path)
    assert runner.submitted == []


def test_what_a_machine_without_a_price_took_lets_nothing_pass_until_it_has_one(tmp_path: Path) -> None:
    limits, runner = [Limit("budget", Budget(per_run=100, per_month=100), unpriced=frozenset({"huge"}))], Managed()
    with pytest.raises(RefusedError, match="but huge ran this month and has no price, so that nobody knows what is"):
        _run(Account("models/late", Prices("USD", "", HOURLY), limits=limits), runner, tmp_path)
    assert runner.submitted == []
    _run(Account("models/late", Prices("USD", "", {**HOURLY, "huge": 9.0}), limits=limits), runner, tmp_path)
    assert runner.submitted == ["late@1"]


def test_a_job_that_has_begun_is_attached_to_whatever_is_left(tmp_path: Path) -> None:
    runner = Managed(stands="job-1")
    _run(_account(Budget(per_month=0)), runner, tmp_path)
    assert runner.submitted == ["late@1"]


def test_a_service_that_cannot_say_what_it_took_loses_no_result(tmp_path: Path) -> None:
    account = _account(Budget())
    said = _run(account, Managed(dumb=True), tmp_path)
    assert said[-1] == "what the job job-1 cost is not known yet: the service is away."
    assert (account.usages, account.unknown, account.cost) == ([], ["job-1"], None)
