"""A Spark Connect server on loopback: Sail, which needs no JVM. It reads the files of the machine that it runs on.

As a program, `python -m resources.databricks.testing.spark` prints its address and serves until its input ends.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from ml_platform.testing.stand_in import end_with_caller, running


def spark() -> AbstractContextManager[str]:
    """The address of the server, `sc://…`; it has ended afterwards."""
    return running("resources.databricks.testing.spark")


def _serve() -> None:
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer()
    server.start()
    ended = threading.Event()
    end_with_caller(ended.set)
    address = server.listening_address
    assert address is not None  # noqa: S101 - it has started
    print(f"sc://{address[0]}:{address[1]}", flush=True)
    ended.wait()
    server.stop()


if __name__ == "__main__":
    _serve()
