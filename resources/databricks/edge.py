"""The edge of a Databricks job: its parameter translated to the platform's container contract, and its end back.

As a program, `python -m resources.databricks.edge job FOLDER` runs the order in the folder of a volume. The job's
identity is its own: `DATABRICKS_HOST` and `DATABRICKS_TOKEN`, which its cluster gives it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_platform.engine.files import upload
from ml_platform.errors import DeclarationError, PlatformError, ServiceError
from ml_platform.jobs.container import ENDED_BY_REQUEST, ORDER, run_order
from ml_platform.jobs.tables import STORAGE_OPTIONS
from ml_platform.records.table import Location
from resources.databricks.lending import PATH_CREDENTIALS, deltalake_options

VOLUMES = "ML_PLATFORM_VOLUMES"  # where volumes are mounted, when it is not where a cluster mounts them

_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.3
_PASSING = (429, 500, 502, 503, 504)


def job(folder: str) -> int:
    """The exit code of the order in `<folder>/order`: 0 with `<folder>/output` written.

    folder: as the API spells it, `/Volumes/<catalog>/<schema>/<volume>/…`. Raises PlatformError with the program's own
    words where it fails; the service shows them as the run's error.
    """
    mounted = Path(os.environ.get(VOLUMES, "/Volumes")) / Path(folder).relative_to("/Volumes")
    order = mounted / "order"
    lent = credentials(_uris(json.loads((order / ORDER).read_text(encoding="utf-8"))))
    if lent:
        os.environ[STORAGE_OPTIONS] = json.dumps(lent)
    # A volume takes whole files and neither appends nor renamed folders, so the program writes to the machine's disk.
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "output"
        ended = run_order(order, output, Location("events", str(mounted / "events")))
        if ended.code == 0:
            upload(output, Location("output", str(mounted / "output")))
    if ended.code not in (0, ENDED_BY_REQUEST):
        raise PlatformError(ended.reason)
    return ended.code


def credentials(uris: Sequence[str]) -> dict[str, str]:
    """Credentials to read the one table that the job reads, in deltalake's spelling; none where it reads none.

    Raises DeclarationError for more than one, ServiceError where the workspace lends none.
    """
    if len(uris) > 1:
        raise DeclarationError(f"the job reads {' and '.join(uris)}, but what is lent to it opens one table")
    return deltalake_options(_lent({"url": uris[0], "operation": "PATH_READ"})) if uris else {}


def _uris(order: Any) -> list[str]:
    """Every table of an object store that is named somewhere in the order."""
    return sorted(set(_named(order)))


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        uri = value.get("uri")
        if isinstance(uri, str) and "://" in uri:
            yield uri
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _named(one)


def _lent(request: Mapping[str, str]) -> dict[str, Any]:
    import httpx

    host, token = (os.environ.get(name, "") for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"))
    for attempt in range(_ATTEMPTS):
        answer = httpx.post(
            f"{host}{PATH_CREDENTIALS}", json=dict(request), headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        if answer.status_code not in _PASSING:
            break
        time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
    if answer.is_error:
        raise ServiceError(
            f"credentials for {request['url']} are refused by Databricks, but the job reads it ({answer.text})",
            allowed="It takes a job's token that has not expired and EXTERNAL USE LOCATION on the external location",
        )
    lent: dict[str, Any] = answer.json()
    return lent


def main(arguments: Sequence[str]) -> None:
    """The command has run; the process ends with its exit code, or with the reason of its failure."""
    if len(arguments) != 2 or arguments[0] != "job":
        sys.exit("usage: python -m resources.databricks.edge job FOLDER")
    try:
        sys.exit(job(arguments[1]))
    except PlatformError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main(sys.argv[1:])
