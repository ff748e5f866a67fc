"""The program of the platform's image on SageMaker: the service's contract, `/opt/ml`, translated to the platform's.

`python -m resources.aws.edge train|process|serve`. The folder is `/opt/ml` unless SAGEMAKER_BASE_DIR says else, and a
server listens on port 8080 unless SAGEMAKER_BIND_TO_PORT says else, as in SageMaker's own images.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_platform.errors import PlatformError
from ml_platform.records.table import Location
from resources.aws.lakehouse import reached

# Where a job finds its order, and leaves what its program wrote; the caller names these to the service.
ORDER_CHANNEL = "order"
RESULT = "result"
EVENTS = "ML_PLATFORM_EVENTS"
_BASE = "/opt/ml"
_FAILURE_CHARACTERS = 1024


def main(arguments: Sequence[str]) -> int:
    """The exit code of a job's program, or of a server that has ended."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", _BASE))
    match list(arguments):
        case ["train"]:
            return _job(base / "input" / "data" / ORDER_CHANNEL, base / "model", base / "output" / "failure")
        case ["process"]:
            processing = base / "processing"
            return _job(processing / "input" / ORDER_CHANNEL, processing / "output", base / "output" / "message")
        case ["serve"]:
            return _serve(base / "model", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    print("usage: python -m resources.aws.edge train|process|serve", file=sys.stderr)
    return 2


def _job(order: Path, output: Path, failure: Path) -> int:
    """The exit code; in the file `failure` is why the job failed, in the place where the service looks for it."""
    from ml_platform.jobs.container import run_order

    try:
        ended = run_order(order, output / RESULT, _events())
        code, reason = ended.code, ended.reason
    except PlatformError as error:
        code, reason = 1, str(error)
    if code:
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(reason[:_FAILURE_CHARACTERS], encoding="utf-8")
    return code


def _events() -> Location:
    """Where the job's messages go; the service gives the region, and the role of the job the credentials."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return Location("events", os.environ[EVENTS], {**({"aws_region": region} if region else {}), **reached()})


def _serve(folder: Path, port: int) -> int:
    from ml_platform.jobs.serving import bundle

    dialect = bundle.Dialect("/ping", "/invocations", read=lambda raw: [raw], write=lambda answers: answers[0])
    # The service calls from outside of the container.
    return bundle.serve(folder, dialect, "0.0.0.0", port)  # noqa: S104


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
