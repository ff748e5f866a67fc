"""A run of the graph as a person on a terminal sees it: a line an asset, then a summary."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

import click
import dagster as dg

from ml_platform.errors import DeclarationError, PlatformError, nearest
from ml_platform.metadata import CURL, OUTCOME, SECONDS

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_FIRST, _LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
_METRICS = ("test_roc_auc", "test_log_loss", "test_brier", "test_expected_calibration_error")


def run_graph(select: str, partitions: str | None) -> bool:
    """Whether every selected asset was made, in one run on the instance of DAGSTER_HOME.

    select: Dagster's selection syntax. partitions: `first...last`, or None for all.
    Raises DeclarationError for a selection that matches nothing and for partitions that do not exist.
    """
    from ml_platform.definitions import defs

    definitions = defs()
    graph = definitions.resolve_asset_graph()
    keys = _selected(select, graph)
    tags = _range(partitions, keys, graph)
    progress = Progress(len(keys))
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.get() as instance:
        instance.add_event_listener(run_id, progress.hear)
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=sorted(keys),
            tags=tags,
            run_config=_QUIET,
            run_id=run_id,
            raise_on_error=False,
        )
    progress.summarise()
    return bool(result.success)


def _selected(select: str, graph: Any) -> set[dg.AssetKey]:
    try:
        keys = set(dg.AssetSelection.from_string(select).resolve(graph))
    except Exception as error:
        raise DeclarationError(
            f"the selection is {select!r}, but it cannot be read: {error}",
            allowed='For instance *, group:gold or +key:"models/arrival_delay"',
        ) from error
    if not keys:
        known = (key.to_user_string() for key in graph.get_all_asset_keys())
        raise DeclarationError(f"the selection is {select!r}, but it matches no asset", allowed=nearest(select, known))
    return keys


def _range(partitions: str | None, keys: set[dg.AssetKey], graph: Any) -> dict[str, str]:
    """The tags that make a run one over a range of partitions; none where nothing selected is partitioned."""
    definitions = [graph.get(key).partitions_def for key in keys if graph.get(key).partitions_def]
    if not definitions:
        return {}
    every = definitions[0].get_partition_keys()
    first, _, last = (partitions or f"{every[0]}...{every[-1]}").partition("...")
    last = last or first
    for name in (first, last):
        if name not in every:
            raise DeclarationError(
                f"the partition is {name!r}, but there is none of that name",
                allowed=f"They go from {every[0]} to {every[-1]}",
            )
    if first > last:
        raise DeclarationError(f"the partitions are {first}...{last}, but the first comes after the last")
    return {_FIRST: first, _LAST: last}


class Progress:
    """What a run says while it goes, and at its end.

    total: how many assets were selected. On a terminal, the asset that is being made is shown until its line stands.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._shown: set[dg.AssetKey] = set()
        self._failures: list[str] = []
        self._test: Mapping[str, Any] = {}
        self._curl: list[str] = []

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Takes in one event of the run."""
        event = entry.dagster_event
        if event is None:
            return
        if event.is_step_start and self._live:
            click.echo(f"\r\033[K        {str(event.step_key).replace('__', '/', 1)} …", nl=False)
        elif event.is_step_materialization and event.asset_key not in self._shown:
            self._made(event)
        elif event.is_step_failure:
            self._failed(event)

    def _made(self, event: dg.DagsterEvent) -> None:
        key = event.asset_key
        if key is None:
            return
        self._shown.add(key)
        self._done += 1
        said = {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}
        if CURL in said:
            self._curl.append(str(said[CURL]))
        if _METRICS[0] in said:
            self._test = said
        rows = f"{said['dagster/row_count']:,} rows" if "dagster/row_count" in said else ""
        seconds = f"{said[SECONDS]:.1f} s" if SECONDS in said else ""
        self._line(key.to_user_string(), rows, seconds, str(said.get(OUTCOME, "")))

    def _failed(self, event: dg.DagsterEvent) -> None:
        error: Any = event.step_failure_data.error
        while error.cause is not None:
            error = error.cause
        message = error.message.strip().removeprefix(f"{PlatformError.__module__}.")
        self._failures.append(f"{str(event.step_key).replace('__', '/', 1)}: {message}")
        self._line(str(event.step_key).replace("__", "/", 1), "", "", "FAILED")

    def _line(self, name: str, rows: str, seconds: str, outcome: str) -> None:
        start = "\r\033[K" if self._live else ""
        click.echo(f"{start}{self._done:>3}/{self._total}  {name:<40}{rows:>16}{seconds:>9}  {outcome}")

    def summarise(self) -> None:
        """Prints what stands now, and what to do next."""
        click.echo(f"\n{self._done} of {self._total} assets in {time.monotonic() - self._started:.0f} s")
        if self._test:
            shown = ", ".join(f"{name.removeprefix('test_')} {self._test[name]:.4f}" for name in _METRICS)
            click.echo(f"model on the test split: {shown}")
        for curl in self._curl:
            click.echo(f"ask the endpoint:\n  {curl}")
        if self._failures:
            for failure in self._failures:
                click.echo(f"error: {failure}", err=True)
        else:
            click.echo("open the UI: make ui, then http://127.0.0.1:3000")
