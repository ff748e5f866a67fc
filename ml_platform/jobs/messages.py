"""The messages of a remote job: Dagster Pipes' own, in numbered chunks that Dagster's readers of object stores read."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from ml_platform.engine.files import filesystem, put
from ml_platform.records.table import Location

_PIPES_VERSION = "0.1"
_INTERVAL_SECONDS = 1.0


class Messages:
    """Says at most one chunk a second, while it is open; what was said last is there when it has been left.

    location: the folder of the chunks `1.json`, `2.json`, …
    """

    def __init__(self, location: Location) -> None:
        self._files = filesystem(location)
        self._waiting: list[str] = []
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
        self._flush()

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

    def _flush(self) -> None:
        with self._lock:
            lines, self._waiting = self._waiting, []
        if lines:
            self._written += 1
            put(self._files, f"{self._written}.json", "\n".join(lines).encode())
