"""The serving program: one endpoint behind one port, until it is told to end.

`python -m ml_platform.jobs.serve --spec SPEC.json`, where SPEC.json is an `EndpointSpec` as `serving.wire` writes it,
with its `revision`, and beside it the `port`, the control `token` and what `serving.settings` has. It ends with code 1,
and a message on standard error, where the port is in use or the spec cannot be served; on SIGTERM it answers what it
has begun, lets shadows end and the log reach the disk, and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.errors import PlatformError, ServiceError
from ml_platform.jobs.serving.settings import ServerSettings, settings_of

if TYPE_CHECKING:
    import uvicorn

    from ml_platform.jobs.serving.server import Server

_GRACE_SECONDS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code, once the server has ended."""
    parser = argparse.ArgumentParser(prog="ml_platform.jobs.serve", description=__doc__)
    parser.add_argument("--spec", type=Path, required=True)
    plain = json.loads(parser.parse_args(arguments).spec.read_text())
    # Before anything loads OpenMP: a row is too little work to share, and idle threads cost the other requests.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        settings = settings_of(plain)
        settings.check()
        with listen(settings.bind, plain["port"]) as listening:
            return _serve(plain, settings, listening)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 1


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, at a free port where it is 0. Raises ServiceError naming a port that is in use."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ServiceError(
            f"port {port} is not free on {host} ({error.strerror}), but an endpoint is to listen there",
            remedy="End what listens there, or give the endpoint another port in the profile's endpoint_host.ports",
        ) from error


def _serve(plain: Mapping[str, Any], settings: ServerSettings, listening: socket.socket) -> int:
    import uvicorn

    from ml_platform.jobs.serving.app import Application
    from ml_platform.jobs.serving.server import Server

    serving, failed = Server(plain["name"], plain["token"], settings), list[str]()
    server = uvicorn.Server(
        uvicorn.Config(
            Application(serving),
            lifespan="off",
            log_level="warning",
            access_log=False,
            # Nobody asks for whom a proxy asks, so that a header which anybody may send is not read.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    threading.Thread(target=_load, args=(plain, settings, serving, server, failed), daemon=True).start()
    run(server, [listening])
    serving.close()
    return 1 if failed else 0


def run(server: uvicorn.Server, listening: list[socket.socket] | None = None) -> None:
    """The server has ended, after it answered what it had begun, and this process goes on.

    uvicorn sends itself the signal that ended it again, which would end the process before a shadow's work is done.
    """
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run(sockets=listening)


def _load(
    plain: Mapping[str, Any], settings: ServerSettings, serving: Server, server: uvicorn.Server, failed: list[str]
) -> None:
    """The server serves its first revision; where it cannot, the reason is told and the server ends."""
    from ml_platform.jobs.serving.served import Served
    from ml_platform.jobs.serving.wire import decode

    try:
        serving.served[plain["name"]] = Served.load(*decode(plain), settings.max_rows)
        return
    except PlatformError as error:
        print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    failed.append(plain["name"])
    server.should_exit = True


if __name__ == "__main__":
    raise SystemExit(main())
