"""The messages of a remote job: Dagster Pipes' own, in numbered chunks that Dagster's readers of object stores read."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from ml_platform.engine.files import filesystem, put
from ml_platform.records.table import Location

_PIPES_VERSION = "0.1"
_INTERVAL_SECONDS = 1.0
_LAST_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.25


class Messages:
    """Says at most one chunk a second, while it is open; what was said last is there when it has been left.

    A chunk that cannot be written waits, and is written before any later one: readers go from number to number. Where
    it cannot be written at the end either, that is printed, for a job is not to fail of what it said.

    location: the folder of the chunks `1.json`, `2.json`, …
    """

    def __init__(self, location: Location) -> None:
        self._files = filesystem(location)
        self._waiting: list[str] = []
        self._chunk = b""
        self._written = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._say("opened", {"extras": {}})
        self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            self.close(" ".join(str(error).split()))
        self._over.set()
        self._writer.join()
        self._write_the_rest()

    def say(self, event: Mapping[str, Any]) -> None:
        """The event (`kind`, `text`, `value`) goes out, with the time at which it was said."""
        payload = {"time": datetime.now(UTC).isoformat(), **event}
        self._say("report_custom_message", {"payload": payload})

    def close(self, reason: str) -> None:
        """The job has ended; reason: why it failed, empty where it succeeded."""
        fault: dict[str, Any] = {"message": reason, "stack": [], "name": "JobFailed", "cause": None, "context": None}
        self._say("closed", {"exception": fault} if reason else None)

    def _say(self, method: str, params: Mapping[str, Any] | None) -> None:
        line = json.dumps({"__dagster_pipes_version": _PIPES_VERSION, "method": method, "params": params})
        with self._lock:
            self._waiting.append(line)

    def _write(self) -> None:
        while not self._over.wait(_INTERVAL_SECONDS):
            self._flush()

    def _write_the_rest(self) -> None:
        """Everything that was said is written, or it is printed that it is not."""
        for attempt in range(_LAST_TRIES):
            error = self._flush()
            if error is None:
                return
            if attempt < _LAST_TRIES - 1:
                time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt)
        print(f"what the job said is lost from chunk {self._written + 1} on: {error!r}", file=sys.stderr, flush=True)

    def _flush(self) -> Exception | None:
        """Everything that was said until now is written; else the error, and what was not written waits."""
        while self._next():
            try:
                put(self._files, f"{self._written + 1}.json", self._chunk)
            except Exception as error:
                # Stores fail in ways of their own, and none of them may end the writer, or the job.
                return error
            self._written, self._chunk = self._written + 1, b""
        return None

    def _next(self) -> bytes:
        """The chunk that is to be written; empty where there is none.

        One that failed stays as it was: it may stand in spite of the error, and may have been read.
        """
        with self._lock:
            if not self._chunk:
                self._chunk, self._waiting = "\n".join(self._waiting).encode(), []
        return self._chunk
