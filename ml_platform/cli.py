"""The command line: `ml-platform run`, `declare`, `invoke`, `ui`, `maintain`, `audit`, `promote` and their like."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from ml_platform.errors import NotFoundError, PlatformError
from ml_platform.operations import COMMANDS
from ml_platform.trace_cli import erase, taint, trace

_PATH = click.Path(path_type=Path)


class _Commands(click.Group):
    """Commands whose errors are one sentence on the error stream, and an exit code that is not zero."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PlatformError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Commands)
def main() -> None:
    """From a raw file to a served, watched model."""


for _command in (*COMMANDS, trace, taint, erase):
    main.add_command(_command)


@main.command()
@click.option("--select", default="*", show_default=True, help="Which assets, in Dagster's selection syntax.")
@click.option("--partitions", help="First and last partition, FIRST...LAST; all of them without it.")
@click.option(
    "-m", "--module", default="ml_platform.definitions", show_default=True, help="Where `defs` are, as for dagster."
)
def run(select: str, partitions: str | None, module: str) -> None:
    """Make the graph, or a part of it, in one run, and say what became of every asset."""
    from ml_platform.console import run_graph

    _require_dagster_home()
    definitions = importlib.import_module(module).defs()
    sys.exit(0 if run_graph(definitions, select, partitions) else 1)


@main.command()
@click.argument("files", nargs=-1, required=True, type=_PATH)
@click.option("--landing", help="Asset key of the landing that brings the files, for instance landing/shop.")
@click.option("--folder", type=_PATH, help="The folder that it brings, where that is not the one of FILES.")
@click.option("--format", "declared", type=click.Choice(["csv", "jsonl", "parquet"]), help="Where no name says it.")
@click.option(
    "--into", type=click.Path(path_type=Path), help="The folder that gets it as defs.yaml, instead of stdout."
)
def declare(
    files: tuple[Path, ...], landing: str | None, folder: Path | None, declared: str | None, into: Path | None
) -> None:
    """Write the declaration of a source that takes every row of FILES; what they do not tell is left open."""
    from ml_platform.declare_console import declaration, write

    text = declaration(files, landing=landing, folder=folder, declared=declared)
    click.echo(f"{write(text, into)} is written" if into else text, nl=into is not None)


@main.command()
@click.argument("endpoint")
@click.argument("request", required=False)
def invoke(endpoint: str, request: str | None) -> None:
    """Ask ENDPOINT, wherever it serves, and print its answer.

    REQUEST is the JSON of a V2 request; without it, the example of the endpoint's last materialization is sent.
    """
    from ml_platform.binding import service

    body = _json(request) if request else _example(endpoint)
    click.echo(json.dumps(service("endpoint_host").invoke(endpoint, body), indent=1, default=str))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"the request is no JSON: {error}") from error


def _example(endpoint: str) -> Any:
    import dagster as dg

    from ml_platform.metadata import EXAMPLE

    _require_dagster_home()
    key = dg.AssetKey(["endpoints", endpoint])
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        raise NotFoundError(
            f"endpoint {endpoint} was never materialized here, but its example is to be sent",
            remedy="Materialize it, or send a request of your own",
        )
    return event.asset_materialization.metadata[EXAMPLE].value


def _require_dagster_home() -> None:
    if "DAGSTER_HOME" not in os.environ:
        raise click.UsageError("DAGSTER_HOME is not set; `make run` sets it to the folder that holds dagster.yaml")


@main.command()
@click.option("--port", default=3000, show_default=True, help="The port on 127.0.0.1.")
def ui(port: int) -> None:
    """Serve the Dagster UI until it is interrupted, or until `ml-platform stop`."""
    from ml_platform.ui import serve

    sys.exit(serve("127.0.0.1", port))


@main.command()
def stop() -> None:
    """End every server that the platform started on this machine: endpoints and the UI."""
    from ml_platform import ui
    from ml_platform.binding import service

    host = service("endpoint_host")
    # A managed host's servers are not this machine's to end.
    running = host.endpoints() if hasattr(host, "endpoints") else []
    if not running:
        click.echo("no endpoint is running on this machine")
    for name in running:
        host.retire(name)
        click.echo(f"endpoints/{name} is stopped")
    if ui.stop():
        click.echo("the UI is stopped")


@main.command()
def schema() -> None:
    """Print the JSON schema of a defs.yaml, by which an editor completes and checks it."""
    from ml_platform.schema import schema

    click.echo(json.dumps(schema(), indent=1, ensure_ascii=False))


_MODULE = click.option(
    "-m", "--module", default="ml_platform.definitions", show_default=True, help="Where `defs` are, as for dagster."
)
_SELECT = click.option("--select", default="*", show_default=True, help="Which tables, in Dagster's selection syntax.")


@main.command()
@_SELECT
@_MODULE
def maintain(select: str, module: str) -> None:
    """Compact, cluster and vacuum tables, and say what that saved."""
    _upkeep("maintenance", select, module)


@main.command()
@_SELECT
@_MODULE
def audit(select: str, module: str) -> None:
    """Look for files that went missing or were altered, and say what is touched by them."""
    _upkeep("audit", select, module)


@main.command()
def drill() -> None:
    """Inject faults into a scratch platform, and show which guard fired for each; exits with 1 where one was silent."""
    from ml_platform.testing.drill.runner import drill

    sys.exit(0 if drill(lambda line: click.echo(line)) else 1)


@main.command()
@click.argument("table")
@click.option("--why", required=True, help="The reason, kept in the table's log.")
@_MODULE
def restore(table: str, why: str, module: str) -> None:
    """Put TABLE@VERSION, for instance silver/flights@3, in place of what stands; what came since is open again.

    Models that learned from what this takes back are tainted.
    """
    from ml_platform.binding import service
    from ml_platform.engine.restore import restore
    from ml_platform.taint_console import taken_back
    from ml_platform.upkeep_console import report_restored

    key, _, version = table.rpartition("@")
    if not key or not version.isdigit():
        raise click.UsageError(f"{table} is no table and version, which are written as silver/flights@3")
    _require_dagster_home()
    done = restore(key, int(version), why, service("lakehouse"))
    report_restored(done)
    for line in taken_back(done, importlib.import_module(module).defs()):
        click.echo(line)


@main.command()
@click.argument("model")
def reproduce(model: str) -> None:
    """Make MODEL, for instance models/arrival_delay@champion, again from what it pins, and compare.

    Exits with 1 where its rows or its answers are not those of then, and says what moved.
    """
    from ml_platform.binding import service
    from ml_platform.engine.champion import version_named
    from ml_platform.engine.reproduction import reproduce

    registry = service("model_registry")
    version = version_named(model, registry)
    done = reproduce(version, registry, service("lakehouse"), service("compute"), click.echo)
    for line in done.told():
        click.echo(line)
    sys.exit(0 if done.equal else 1)


@main.command()
@click.argument("model")
@click.option("--why", required=True, help="The reason, kept with the version.")
def promote(model: str, why: str) -> None:
    """Make MODEL@VERSION, for instance arrival_delay@3, champion past its gate; what serves follows with the next run.

    Who did so, past what and why stands with the version, and in its gate's check.
    """
    from ml_platform.binding import service
    from ml_platform.engine.alias_log import promoted_by_command

    if "@" not in model:
        raise click.UsageError(f"{model} is no model and version, which are written as arrival_delay@3")
    version, move = promoted_by_command(model, why, service("model_registry"))
    click.echo(move.told())
    click.echo(f"materialize models/{version.name}__champion, and what is downstream follows")


def _upkeep(job: str, select: str, module: str) -> None:
    from ml_platform.upkeep_console import run_upkeep

    _require_dagster_home()
    sys.exit(0 if run_upkeep(importlib.import_module(module).defs(), job, select) else 1)
