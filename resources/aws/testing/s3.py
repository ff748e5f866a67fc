"""A stand-in for Amazon S3: moto's, as a server of its own on loopback, with one bucket.

As a program, `python -m resources.aws.testing.s3 BUCKET` prints its address and serves until its input ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from ml_platform.records.table import Location
from ml_platform.testing.faults import PATH, Fault, Faults
from ml_platform.testing.stand_in import end_with_caller, running

_REGION = "us-east-1"
_REFUSED: Mapping[Fault, tuple[str, str]] = {
    "store_throttled": ("503 Slow Down", "SlowDown"),
    "store_broken": ("500 Internal Server Error", "InternalError"),
}

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class S3:
    """A running stand-in.

    settings: those of an AwsLakehouse in its bucket, but for the prefix.
    environment: variables that hold credentials which it takes; they are nobody's.
    """

    settings: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def objects(self) -> Location:
        """Everything in it."""
        options = {"aws_endpoint_url_s3": self.settings["endpoint_url"], "aws_region": self.settings["region"]}
        options |= {"aws_allow_http": "true"} | {name.lower(): value for name, value in self.environment.items()}
        return Location("", f"s3://{self.settings['bucket']}", options)


@contextmanager
def s3(bucket: str) -> Iterator[S3]:
    """The stand-in, its bucket empty; it has ended, and forgotten everything, afterwards."""
    with running(__name__, bucket) as address:
        yield S3(
            settings={"bucket": bucket, "region": _REGION, "endpoint_url": address},
            environment={"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nobodys-secret-key"},
        )


def faulty(app: Application, faults: Faults) -> Application:
    """The application with the faults that it is told of."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"{PATH}/"):
            *_, fault, times = environ["PATH_INFO"].split("/")
            faults.set(fault, int(times))
            start("204 No Content", [])
            return [b""]
        for fault, (status, code) in _REFUSED.items():
            if faults.take(fault):
                # What is left of a request would be read as the connection's next.
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return _refusal(start, status, code)
        said: list[Any] = []
        content = list(app(environ, lambda *head: said.extend(head)))
        created = environ["REQUEST_METHOD"] == "PUT" and "HTTP_IF_NONE_MATCH" in environ and said[0].startswith("200")
        if created and faults.take("store_unanswered"):
            return _refusal(start, *_REFUSED["store_broken"])
        start(*said)
        return content

    return answer


def _refusal(start: Callable[..., Any], status: str, code: str) -> list[bytes]:
    content = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'.encode()
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
    return [content]


def _one_at_a_time(app: Application) -> Application:
    """The application with atomic requests: moto looks whether a key is there and writes it in two steps."""
    lock = Lock()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        with lock:
            return list(app(environ, start))

    return answer


def _serve(bucket: str) -> None:
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    class Quiet(MotoRequestHandler):
        # Without it a client that keeps its connection would open one for each request.
        protocol_version = "HTTP/1.1"
        # An answer goes out in two writes, of which the second would wait for the client to confirm the first.
        disable_nagle_algorithm = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Says nothing."""

    s3_backends["123456789012"]["aws"].create_bucket(bucket, _REGION)
    app = faulty(_one_at_a_time(create_backend_app("s3")), Faults())
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    end_with_caller(server.shutdown)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
