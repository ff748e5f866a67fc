"""The commands `trace`, `taint` and `erase`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

_MODULE = click.option(
    "-m", "--module", default="ml_platform.definitions", show_default=True, help="Where `defs` are, as for dagster."
)


@click.group()
def trace() -> None:
    """Say what is behind a prediction, or what a landed file reached."""


@trace.command()
@click.argument("name")
@_MODULE
def prediction(name: str, module: str) -> None:
    """Print the chain behind a prediction, back to the rows of landed files.

    NAME is a request's id, or predictions/<name>:<entity>, with @<event time> where the entity has several events.
    """
    from ml_platform.trace_console import trace_prediction

    for line in trace_prediction(name, _definitions(module)):
        click.echo(line)


@trace.command("file")
@click.argument("path")
@click.option("--ids", is_flag=True, help="Name every prediction.")
@_MODULE
def of_file(path: str, ids: bool, module: str) -> None:
    """Print every table version, model, endpoint and prediction that a landed file reached.

    PATH is its path or name in the landing, the digest of its bytes, or a file of this machine that holds the same.
    """
    from ml_platform.trace_console import trace_file

    for line in trace_file(path, _definitions(module), every=ids):
        click.echo(line)


@click.command()
@click.argument("subject")
@click.option("--why", required=True, help="What is wrong with it, for whoever reads the check.")
@_MODULE
def taint(subject: str, why: str, module: str) -> None:
    """Mark every model that learned from SUBJECT, and every endpoint that serves one, as tainted.

    SUBJECT is a table's version, for instance silver/flights@3, or a landed file, file:<path, name or digest>.
    """
    from ml_platform.taint_console import taint_subject

    for line in taint_subject(subject, why, _definitions(module)):
        click.echo(line)


def _definitions(module: str) -> Any:
    return importlib.import_module(module).defs()


@click.command()
@click.argument("table")
@click.option("--key", "keys", multiple=True, required=True, help="column=value of the rows; may be given again.")
@click.option("--why", default="a person's request", show_default=True, help="The reason, kept with the taint.")
@_MODULE
def erase(table: str, keys: tuple[str, ...], why: str, module: str) -> None:
    """Erase a key's rows from TABLE, from what it was made of and from all that was made of it, and prove it.

    Exits with 1 where it cannot be proven that nothing is left.
    """
    from ml_platform.erase_console import erase_key

    sys.exit(0 if erase_key(table, keys, why, _definitions(module), click.echo) else 1)
