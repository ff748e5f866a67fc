"""Happenings: what Dagster's record says that people may want to be told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from ml_platform.engine.telling import Ended, Happening
from ml_platform.records.notice import Severity
from ml_platform.watching import TELL

_MOST_RUNS = 50
_FAILING = "failing"


def checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> Iterator[Happening]:
    """How the latest evaluation of each check stands; one that fails for something else is another state."""
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    for key, record in sorted(latest.items(), key=lambda item: (item[0].asset_key.path, item[0].name)):
        asset, name = key.asset_key.to_user_string(), key.name
        of, subject = f"check {asset} {name}", f"{name} of {asset}"
        found = _evaluation(record)
        if found is None:
            continue
        if found.passed:
            yield Happening(of, "", "info", subject, "The check passes again.")
            continue
        failing = found.metadata.get(_FAILING)
        # Without numbers, which move from look to look while the same thing is wrong.
        state = f"failed {failing.value}" if failing is not None else "failed"
        text = f"{found.description or 'The check failed.'}\nThe check {name} stands at {asset} in the UI."
        yield Happening(of, state, _severity(found), subject, text)


def sentences(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> Iterator[Happening]:
    """What the latest materialization of each asset wants told."""
    for key, event in sorted(
        instance.get_latest_materialization_events(keys).items(), key=lambda item: item[0].to_user_string()
    ):
        made = event.asset_materialization if event else None
        if made is not None:
            asset = key.to_user_string()
            said = made.metadata.get(TELL)
            text = str(said.value) if said is not None else ""
            yield Happening(f"asset {asset}", text, "info", f"{asset} says", text, mends=False)


def failed_runs(instance: dg.DagsterInstance, until: float | None) -> Ended:
    """The runs that failed since then; none at the first look, which only begins to watch."""
    now = time.time()
    if until is None:
        return Ended((), now)
    since = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.fromtimestamp(until, UTC))
    found = instance.get_run_records(since, limit=_MOST_RUNS, order_by="update_timestamp", ascending=True)
    runs = [_failed(record.dagster_run) for record in found]
    last = max((record.update_timestamp.timestamp() for record in found), default=until)
    return Ended(runs, last)


def _failed(run: dg.DagsterRun) -> Happening:
    assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or run.job_name
    subject = f"A run failed: {assets if len(assets) < 120 else run.job_name}"
    text = f"Run {run.run_id} of the job {run.job_name} failed. Its page in the UI says why."
    return Happening(f"run {run.run_id}", "failed", "error", subject, text)


def _evaluation(record: Any) -> dg.AssetCheckEvaluation | None:
    event = record.event.dagster_event if record.event else None
    data = event.event_specific_data if event else None
    return data if isinstance(data, dg.AssetCheckEvaluation) else None


def _severity(found: dg.AssetCheckEvaluation) -> Severity:
    return "error" if found.severity == dg.AssetCheckSeverity.ERROR else "warning"
