"""Sending tables to jobs: one version by its address, or as files along with a job that cannot reach the lakehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_platform.engine import delta
from ml_platform.errors import NotFoundError
from ml_platform.records.table import Location
from ml_platform.roles.job_runner import JobRunner


def sent(location: Location, version: int, runner: JobRunner, scratch: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """How the runner's jobs find one version of a table, and the folders that have to go with them.

    scratch: an existing folder, in which a copy may stand until the job is submitted.
    """
    if not runner.stages:
        return delta.pinned(location, version), {}
    found = delta.snapshot(location, version)
    if found is None:
        raise NotFoundError(f"the table {location.key} is not there, but version {version} of it is sent to a job")
    name = location.key.replace("/", "__")
    copy = Location(location.key, str(scratch / name))
    return {"folder": name, "version": delta.copied(found, copy)}, {name: copy.uri}
