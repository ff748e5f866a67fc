"""A run of the graph as a person on a terminal sees it: a line an asset, then a summary."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import click
import dagster as dg

from ml_platform.automation import by_hand, range_tags
from ml_platform.errors import DeclarationError, nearest
from ml_platform.metadata import ASK, OUTCOME

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_METRICS = ("test_roc_auc", "test_log_loss", "test_brier", "test_expected_calibration_error", "test_rmse", "test_r2")


def run_graph(definitions: dg.Definitions, select: str, partitions: str | None) -> bool:
    """Whether every selected asset was made, in one run on the instance of DAGSTER_HOME.

    select: Dagster's selection syntax. partitions: `first...last`, or None for all.
    Raises DeclarationError for a selection that matches nothing and for partitions that do not exist.
    """
    graph = definitions.resolve_asset_graph()
    keys = named(select, selected(select, graph), graph)
    tags = _range(partitions, keys, graph)
    progress = Progress(keys)
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


def reason(error: Any) -> str:
    """What went wrong, in the words of whoever raised it; dagster's wrapping and what lies below are left out.

    error: as an event of dagster carries it.
    """
    told = error.cause or error
    return re.sub(rf"^(ml_platform|resources)[\w.]*\.{re.escape(told.cls_name)}: ", "", str(told.message).strip())


def selected(select: str, graph: Any) -> set[dg.AssetKey]:
    """The assets that a selection matches. Raises DeclarationError for one that cannot be read or matches nothing."""
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


def named(select: str, keys: set[dg.AssetKey], graph: Any) -> set[dg.AssetKey]:
    """Those of the assets that may be made without being named, or are; which are left out is said.

    Raises DeclarationError where none is left.
    """
    left_out = {key for key in keys if by_hand(graph.get(key).tags) and key.to_user_string() not in select}
    for key in sorted(left_out):
        name = key.to_user_string()
        click.echo(f'{name} is left out: it is promoted by hand, by who selects nothing but key:"{name}"')
    if keys == left_out:
        raise DeclarationError(
            f"the selection is {select!r}, but all that it matches is promoted by hand", remedy="Select it by its key"
        )
    return keys - left_out


def _range(partitions: str | None, keys: set[dg.AssetKey], graph: Any) -> dict[str, str]:
    """The tags that make a run one over a range of partitions; none where nothing selected is partitioned."""
    found = partitions_of(partitions, keys, graph)
    return range_tags(found[0], found[-1]) if found else {}


def partitions_of(partitions: str | None, keys: set[dg.AssetKey], graph: Any) -> list[str]:
    """The partitions that `first...last` names, all of them where it is None; none where nothing is partitioned.

    Raises DeclarationError for what is no such range.
    """
    definitions = [graph.get(key).partitions_def for key in keys if graph.get(key).partitions_def]
    if not definitions:
        return []
    every = list(definitions[0].get_partition_keys())
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
    return every[every.index(first) : every.index(last) + 1]


class Progress:
    """What a run says while it goes, and at its end.

    selected: what is to be made. On a terminal, the asset that is being made is shown until its line stands.
    """

    def __init__(self, selected: Collection[dg.AssetKey]) -> None:
        self._waiting = {key.to_user_string() for key in selected}
        self._total = len(selected)
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._said: dict[str, Mapping[str, Any]] = {}
        self._made = 0
        self._failures: list[str] = []

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Takes in one event of the run; of a check that is a step of its own, only that it could not be made."""
        event = entry.dagster_event
        if event is None:
            return
        if event.is_step_start and self._live:
            click.echo(f"\r\033[K        {_asset(event)} …", nl=False)
        elif event.is_step_materialization:
            made = event.step_materialization_data.materialization
            self._said[made.asset_key.to_user_string()] = {name: it.value for name, it in made.metadata.items()}
        elif event.is_step_success and _asset(event) in self._waiting:
            self._made += 1
            self._line(_asset(event), event.step_success_data.duration_ms / 1000, None)
        elif event.is_step_failure:
            self._failures.append(f"{_asset(event)}: {reason(event.step_failure_data.error)}")
            self._line(_asset(event), None, "FAILED")
        elif event.is_run_failure and not self._failures:
            error = event.job_failure_data.error
            self._failures.append(reason(error) if error else str(event.message))

    def _line(self, name: str, seconds: float | None, outcome: str | None) -> None:
        self._waiting.discard(name)
        said = self._said.get(name, {})
        rows = f"{said['dagster/row_count']:,} rows" if "dagster/row_count" in said else ""
        took = "" if seconds is None else f"{seconds:.1f} s"
        became = outcome or said.get(OUTCOME, "materialized")
        start = "\r\033[K" if self._live else ""
        count = self._total - len(self._waiting)
        click.echo(f"{start}{count:>3}/{self._total}  {name:<40}{rows:>16}{took:>9}  {became}")

    def summarise(self) -> None:
        """Prints what stands now, and what to do next."""
        click.echo(f"\n{self._made} of {self._total} assets in {time.monotonic() - self._started:.0f} s")
        for said in self._said.values():
            told = [name for name in _METRICS if name in said]
            if told:
                shown = ", ".join(f"{name.removeprefix('test_')} {said[name]:.4f}" for name in told)
                click.echo(f"model on the test split: {shown}")
                full = {name.removeprefix("test_"): value for name, value in said.items() if name.startswith("test_")}
                click.echo(f"in every digit: {json.dumps(full, sort_keys=True)}")
        for said in self._said.values():
            if ASK in said:
                click.echo(f"ask the endpoint:\n  {said[ASK]}")
        if not self._failures:
            click.echo("open the UI: make ui, then http://127.0.0.1:3000")
        elif self._waiting:
            click.echo(f"skipped: {', '.join(sorted(self._waiting))}")
        for failure in self._failures:
            click.echo(f"error: {failure}", err=True)


def _asset(event: dg.DagsterEvent) -> str:
    """The key of the asset that a step makes.

    A step is named as its asset, `models__arrival_delay__champion`.
    """
    return str(event.step_key).replace("__", "/", 1)
