"""The upkeep of tables as a person on a terminal sees it: a line a table, and what is wrong on the error stream."""

from __future__ import annotations

from typing import Any

import click
import dagster as dg

from ml_platform.console import reason, selected
from ml_platform.engine.restore import Restored
from ml_platform.errors import DeclarationError, nearest
from ml_platform.upkeep import OUTCOME, UPKEEP

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_OP = {"maintenance": "maintain", "audit": "examine"}


def run_upkeep(definitions: dg.Definitions, job: str, select: str) -> bool:
    """Whether the job, `maintenance` or `audit`, went well for every selected table; a run on DAGSTER_HOME's instance.

    select: Dagster's selection syntax. Raises DeclarationError for a selection without a table.
    """
    config = {"ops": {_OP[job]: {"config": {"keys": _tables(definitions, select)}}}, **_QUIET}
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            run_config=config, instance=instance, raise_on_error=False
        )
        # What a failed op said stands in the instance's log alone.
        for entry in instance.all_logs(result.run_id):
            if entry.dagster_event is not None:
                _tell(entry.dagster_event)
    return bool(result.success)


def report_restored(done: Restored) -> None:
    """What became of a restore stands on the terminal, and on the asset in the UI."""
    same = f"{done.key} stands as at version {done.of} already"
    moved = f"{done.key} stands as at version {done.of}, in version {done.version}"
    files = f"{done.rows:,} rows, {done.files_back} files back, {done.files_gone} gone"
    opened = f", open again: {', '.join(done.reopened)}" if done.reopened else ""
    back = [f"{key} as at version {of}" if of is not None else f"{key} empty" for key, of in done.beside.items()]
    beside = f", with it {', '.join(back)}" if back else ""
    told = f"{moved}: {files}{opened}{beside}" if done.version != done.of else same
    metadata: dict[str, Any] = {
        OUTCOME: told,
        "why": done.why,
        "table_version": done.version,
        "restored_version": done.of,
    }
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetObservation(done.key.split("/"), metadata=metadata))
    click.echo(told)


def _tables(definitions: dg.Definitions, select: str) -> list[str]:
    """The keys of the selected tables, in order."""
    graph = definitions.resolve_asset_graph()
    every = {key.to_user_string() for key in graph.get_all_asset_keys() if UPKEEP in graph.get(key).metadata}
    tables = sorted(every & {key.to_user_string() for key in selected(select, graph)})
    if not tables:
        raise DeclarationError(f"the selection is {select!r}, but it matches no table", allowed=nearest(select, every))
    return tables


def _tell(event: dg.DagsterEvent) -> None:
    if event.event_type == dg.DagsterEventType.ASSET_OBSERVATION:
        seen = event.asset_observation_data.asset_observation
        click.echo(f"{seen.asset_key.to_user_string():<40}  {seen.metadata[OUTCOME].value}")
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        files, size = (check.metadata[name].value for name in ("files", "size_bytes"))
        state = "intact" if check.passed else "DAMAGED"
        click.echo(f"{check.asset_key.to_user_string():<40}  {state}, {files} files, {size:,} bytes read")
    elif event.is_step_failure:
        _tell_failure(event.step_failure_data)


def _tell_failure(failure: Any) -> None:
    told = failure.user_failure_data
    if told is None:
        click.echo(f"error: {reason(failure.error)}", err=True)
        return
    said = {name: value.value for name, value in told.metadata.items()}
    for finding in said.get("findings", ()):
        click.echo(f"error: {finding}", err=True)
    if not said:
        click.echo(f"error: {told.description}", err=True)
    for name in ("versions", "models", "endpoints"):
        if said.get(name):
            click.echo(f"touched {name}: {'; '.join(said[name])}", err=True)
