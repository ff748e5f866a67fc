"""The bundle: the folder by which an endpoint travels to a server elsewhere, and the server of such a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_platform
from ml_platform.engine import request_time
from ml_platform.engine.caller import filled
from ml_platform.engine.online import looked_up
from ml_platform.engine.package import digest, read_card
from ml_platform.errors import PlatformError, ServiceError
from ml_platform.jobs import openmp
from ml_platform.jobs.serve import run
from ml_platform.jobs.serving.served import PROGRAM, Served, built
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.jobs.serving.wire import decode, encode, fingerprint
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Dialect", "answered", "check", "completed", "fingerprint", "load", "revision", "serve", "write"]

SPEC = "endpoint.json"
PACKAGES = "packages"
DESCRIBE = "describe"
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Dialect:
    """How a service talks to the servers that it runs.

    health, predict: its routes. read: a body as V2 bodies; write: their answers as one body.
    """

    health: str
    predict: str
    read: Callable[[bytes], Sequence[bytes]]
    write: Callable[[Sequence[bytes]], bytes]


def write(spec: EndpointSpec, number: int, folder: Path) -> dict[int, str]:
    """Version → digest of its package, once the folder holds the spec and the packages."""
    folder.mkdir(parents=True, exist_ok=True)
    for version, package in spec.packages.items():
        shutil.copytree(package, folder / PACKAGES / str(version))
    cards = [read_card(folder / PACKAGES / str(version)) for version in spec.packages]
    features = {feature.name: str(feature.type) for card in cards for feature in card.features}
    inside = replace(spec, packages={version: f"{PACKAGES}/{version}" for version in spec.packages})
    computed = [each for version in spec.packages for each in request_time.load(folder / PACKAGES / str(version))]
    takes = looked_up(spec.views, features, computed) if spec.lookup == "caller" else {}
    (folder / SPEC).write_text(json.dumps({**encode(inside, number), "takes": takes}, indent=1), encoding="utf-8")
    return {version: digest(folder / PACKAGES / str(version)) for version in spec.packages}


def load(folder: Path) -> Served:
    """The folder's endpoint, ready to answer. Raises PlatformError for what cannot be served."""
    spec, number = decode(json.loads((folder / SPEC).read_text(encoding="utf-8")))
    return Served.load(
        replace(spec, packages={version: str(folder / path) for version, path in spec.packages.items()}), number
    )


def check(folder: Path) -> None:
    """Returns where the folder can be served; else raises ServiceError with the words of the server that tried."""
    root = str(Path(ml_platform.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as scratch:
        tried = subprocess.run(
            [sys.executable, "-P", "-m", "ml_platform.jobs.serving.bundle", str(folder)],
            env={**os.environ, "PYTHONPATH": path, **openmp.environment(Path(scratch))},
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        raise ServiceError(f"the endpoint cannot be served, so it is not deployed: {said[-1] if said else 'no word'}")


def answered(served: Served, raw: bytes) -> tuple[int, bytes]:
    """Status and JSON of the answer to a V2 body; `{"describe": true}` is answered with what really serves."""
    if raw.lstrip().startswith(b'{"describe"'):
        return 200, json.dumps(_described(served)).encode()
    try:
        return 200, served.answer(raw)
    except PlatformError as error:
        return 400 if isinstance(error, RequestError) else 503, json.dumps({"error": str(error)}).encode()


def completed(plain: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The V2 request as the endpoint takes it: with features, where its caller is to look them up.

    plain: the content of the bundle's `endpoint.json`. Raises RequestError for a request that is none.
    """
    spec, _ = decode(plain)
    if spec.lookup == "endpoint":
        return dict(request)
    return filled(spec, plain["takes"], built(spec.feature_store), request)


def revision(answer: Mapping[str, Any], url: str) -> Revision:
    """What serves, from the answer to `{"describe": true}`. url: where requests go to."""
    return Revision(
        endpoint=answer["endpoint"],
        number=answer["number"],
        split=TrafficSplit({int(version): share for version, share in answer["split"].items()}),
        digests={int(version): found for version, found in answer["digests"].items()},
        url=url,
        ready=True,
        shadow=answer.get("shadow"),
    )


def serve(folder: Path, dialect: Dialect, host: str, port: int) -> int:
    """The exit code of the server, once it has ended: 1, and the reason on standard error, where it cannot load."""
    import uvicorn

    held: list[Served] = []
    config = uvicorn.Config(
        _app(held, dialect),
        host=host,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_load, args=(folder, held, server), daemon=True).start()
    run(server)
    return 0 if held else 1


def _load(folder: Path, held: list[Served], server: Any) -> None:
    try:
        held.append(load(folder))
    except PlatformError as error:
        print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    finally:
        server.should_exit = not held


def _app(held: Sequence[Served], dialect: Dialect) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response
    from starlette.routing import Route

    def health(_: Request) -> Response:
        return Response(status_code=200 if held else 503)

    async def predict(request: Request) -> Response:
        if not held:
            return Response('{"error": "the endpoint is loading; send the request again in a moment"}', 503)
        status, body = await run_in_threadpool(_spoken, held[0], dialect, await request.body())
        return Response(body, status, media_type="application/json")

    return Starlette(
        routes=[Route(dialect.health, health), Route(dialect.predict, predict, methods=["POST"])],
    )


def _spoken(served: Served, dialect: Dialect, body: bytes) -> tuple[int, bytes]:
    """All answers in the service's words, or the first that is none, by its own status."""
    answers = []
    try:
        for raw in dialect.read(body):
            status, answer = answered(served, raw)
            if status != 200:
                return status, answer
            answers.append(answer)
    except (ValueError, KeyError, TypeError) as error:
        return 400, json.dumps({"error": f"the body cannot be read, but holds requests ({error})"}).encode()
    return 200, dialect.write(answers)


def _described(served: Served) -> dict[str, Any]:
    return {
        "endpoint": served.spec.name,
        "number": served.number,
        "split": {str(version): share for version, share in served.spec.split.shares.items()},
        "digests": {str(version): found for version, found in served.digests.items()},
        "shadow": served.spec.shadow,
        "fingerprint": served.fingerprint,
        "program": PROGRAM,
    }


if __name__ == "__main__":
    try:
        load(Path(sys.argv[1]))
    except PlatformError as fault:
        raise SystemExit(" ".join(str(fault).split())) from None
