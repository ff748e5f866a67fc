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
from ml_platform.testing.stand_in import end_with_caller, running

_REGION = "us-east-1"


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


def _one_at_a_time(app: Callable[..., Iterable[bytes]]) -> Callable[..., list[bytes]]:
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
    app = _one_at_a_time(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    end_with_caller(server.shutdown)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
