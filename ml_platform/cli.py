"""The command line: `ml-platform run`, `ml-platform ui` and `ml-platform stop`."""

from __future__ import annotations

import importlib
import os
import sys

import click

from ml_platform.errors import PlatformError


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


@main.command()
@click.option("--select", default="*", show_default=True, help="Which assets, in Dagster's selection syntax.")
@click.option("--partitions", help="First and last partition, FIRST...LAST; all of them without it.")
@click.option(
    "-m", "--module", default="ml_platform.definitions", show_default=True, help="Where `defs` are, as for dagster."
)
def run(select: str, partitions: str | None, module: str) -> None:
    """Make the graph, or a part of it, in one run, and say what became of every asset."""
    from ml_platform.console import run_graph

    if "DAGSTER_HOME" not in os.environ:
        raise click.UsageError("DAGSTER_HOME is not set; `make run` sets it to the folder that holds dagster.yaml")
    definitions = importlib.import_module(module).defs()
    sys.exit(0 if run_graph(definitions, select, partitions) else 1)


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
    running = host.endpoints()
    if not running:
        click.echo("no endpoint is running")
    for name in running:
        host.retire(name)
        click.echo(f"endpoints/{name} is stopped")
    if ui.stop():
        click.echo("the UI is stopped")
