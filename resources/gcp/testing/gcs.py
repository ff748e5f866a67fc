"""A stand-in for Google Cloud Storage on loopback: both of its dialects over one store, with one bucket.

As a program, `python -m resources.gcp.testing.gcs BUCKET` prints its address and serves until its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ml_platform.testing.faults import PATH, Fault, Faults
from ml_platform.testing.stand_in import running, serve

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

PRIVATE_KEY = "nobodys-private-key"
_REFUSED: Mapping[Fault, tuple[int, str, str]] = {
    "store_throttled": (429, "SlowDown", "The rate of requests to the bucket is too high."),
    "store_broken": (500, "InternalError", "We encountered an internal error. Please try again."),
}
_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]


@dataclass(frozen=True)
class Gcs:
    """A running stand-in. environment: the variables by which delta-rs and Google's own clients find it."""

    bucket: str
    address: str
    environment: Mapping[str, str]


@contextmanager
def gcs(bucket: str) -> Iterator[Gcs]:
    """The stand-in, its bucket empty; it has ended, and forgotten everything, afterwards."""
    with running(__name__, bucket) as address, TemporaryDirectory() as folder:
        key = Path(folder) / "service_account.json"
        write_key(key, address)
        yield Gcs(bucket, address, {"GOOGLE_SERVICE_ACCOUNT": str(key), "STORAGE_EMULATOR_HOST": address})


def write_key(path: Path, address: str) -> None:
    """The file is a service account's key, nobody's, that leads delta-rs to that address and asks for no token."""
    account = {"gcs_base_url": address, "disable_oauth": True, "client_email": "nobody@localhost"}
    path.write_text(json.dumps({**account, "private_key": PRIVATE_KEY, "private_key_id": ""}))


def application(bucket: str) -> Starlette:
    """The stand-in as an ASGI application; its event loop has one thread, which makes every change atomic."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from resources.gcp.testing import gcs_json, gcs_xml
    from resources.gcp.testing.gcs_objects import GcsError, Objects

    objects, faults = Objects({bucket: {}}), Faults()

    async def inject(request: Request) -> Response:
        faults.set(request.path_params["fault"], int(request.path_params["times"]))
        return Response(status_code=204)

    async def answer(request: Request) -> Response:
        json_spoken = gcs_json.spoken(request)
        await request.body()  # what is left of a request would be read as the connection's next
        try:
            for fault, refusal in _REFUSED.items():
                if faults.take(fault):
                    raise GcsError(*refusal)
            answered = await (gcs_json.answer if json_spoken else gcs_xml.answer)(request, objects)
            if _creates(request) and answered.status_code == 200 and faults.take("store_unanswered"):
                raise GcsError(*_REFUSED["store_broken"])
            return answered
        except GcsError as error:
            return (gcs_json.refusal if json_spoken else gcs_xml.refusal)(error)

    told = Route(f"{PATH}/{{fault}}/{{times}}", inject, methods=["PUT"])
    return Starlette(routes=[told, Route("/{path:path}", answer, methods=_METHODS)])


def _creates(request: Request) -> bool:
    """Whether a request makes an object that may not be there yet."""
    asked = (request.headers.get("x-goog-if-generation-match"), request.query_params.get("ifGenerationMatch"))
    return request.method in ("PUT", "POST") and "0" in asked


if __name__ == "__main__":
    serve(application(sys.argv[1]))
