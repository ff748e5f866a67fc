"""The program of the platform's image on Vertex AI: the service's contract translated to the platform's.

`python -m resources.gcp.edge job --order gs://… --output gs://… --events gs://…` runs a job;
`python -m resources.gcp.edge serve` serves what `AIP_STORAGE_URI` names, where the other `AIP_` variables say.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_platform.engine import files
from ml_platform.errors import PlatformError
from ml_platform.records.table import Location
from resources.gcp.numbers import whole

HEALTH, PREDICT = "/health", "/predict"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a job's program, or of a server that has ended."""
    parser = argparse.ArgumentParser(prog="resources.gcp.edge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    job = commands.add_parser("job")
    for name in ("order", "output", "events"):
        job.add_argument(f"--{name}", required=True, help="a gs:// address")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return _serve(Path(scratch)) if given.command == "serve" else _job(given, Path(scratch))
        except PlatformError as error:
            print(error, file=sys.stderr, flush=True)
            return 1


def _job(given: argparse.Namespace, scratch: Path) -> int:
    from ml_platform.jobs.container import run_order

    order = files.download(Location("order", given.order), scratch / "order")
    ended = run_order(order, scratch / "output", Location("events", given.events))
    if ended.code == 0:
        files.upload(scratch / "output", Location("output", given.output))
    return ended.code


def _serve(scratch: Path) -> int:
    from ml_platform.jobs.serving import bundle

    given: Mapping[str, str] = os.environ
    folder = files.download(Location("bundle", given["AIP_STORAGE_URI"]), scratch / "bundle")
    dialect = bundle.Dialect(given["AIP_HEALTH_ROUTE"], given["AIP_PREDICT_ROUTE"], _instances, _predictions)
    # The service calls from outside of the container.
    return bundle.serve(folder, dialect, "0.0.0.0", int(given["AIP_HTTP_PORT"]))  # noqa: S104


def _instances(body: bytes) -> list[bytes]:
    """Each instance is a V2 body."""
    return [json.dumps(whole(instance)).encode() for instance in json.loads(body)["instances"]]


def _predictions(answers: Sequence[bytes]) -> bytes:
    return b'{"predictions": [' + b", ".join(answers) + b"]}"


if __name__ == "__main__":
    raise SystemExit(main())
