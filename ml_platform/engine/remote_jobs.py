"""Remote jobs from the caller's side: the order that is sent, the name that it goes by, and what comes back."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ml_platform.engine.package import digest
from ml_platform.jobs.container import FOLDERS, ORDER
from ml_platform.records.job import JobEvent, JobSpec

# What reads one chunk of a job's messages, by number from 1; None while it is not there.
ReadChunk = Callable[[int], str | None]


def write_order(spec: JobSpec, folder: Path) -> None:
    """The folder holding everything that the job needs, `order.json` and `folders/<name>/`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in spec.folders.items():
        shutil.copytree(source, folder / FOLDERS / name)
    order = {"program": spec.program, "arguments": spec.arguments, "threads": max(1, int(spec.needs.cpu))}
    (folder / ORDER).write_text(json.dumps(order, indent=1), encoding="utf-8")


def fingerprint(spec: JobSpec) -> str:
    """SHA-256, hexadecimal, of what the job does: its program, arguments, needs, and the content of its folders."""
    folders = {name: digest(Path(source)) for name, source in spec.folders.items()}
    content = {"program": spec.program, "arguments": spec.arguments, "needs": asdict(spec.needs), "folders": folders}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def job_name(prefix: str, name: str, limit: int) -> str:
    """What a service calls the job: readable, of lower-case letters, digits and dashes, and its own for each name.

    >>> job_name("prod", "fit-arrival_delay-0f3a", 40)
    'prod-fit-arrival-delay-0f3a-a02f9bb5'
    """
    unique = hashlib.sha256(f"{prefix}/{name}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{prefix}-{name}".lower()).strip("-")
    return f"{readable[: limit - 9].rstrip('-')}-{unique}"


def events(read_chunk: ReadChunk, ended: Callable[[], bool], poll_seconds: float = 1.0) -> Iterator[JobEvent]:
    """What the job says, from its beginning, as it is said; ends when the job has ended and all of it was read."""
    number = 1
    while True:
        # Asked before the chunk is looked for, so that one written in between is not missed.
        over = ended()
        chunk = read_chunk(number)
        if chunk is not None:
            number += 1
            yield from _events(chunk)
        elif over:
            return
        else:
            time.sleep(poll_seconds)


def reason(read_chunk: ReadChunk) -> str:
    """Why the job's program failed, in its own words; empty where it did not, or could not say."""
    number, said = 1, ""
    while (chunk := read_chunk(number)) is not None:
        number += 1
        for message in _messages(chunk):
            exception = (message.get("params") or {}).get("exception")
            if message["method"] == "closed" and exception:
                said = str(exception["message"])
    return said


def _events(chunk: str) -> Iterator[JobEvent]:
    for message in _messages(chunk):
        if message["method"] == "report_custom_message":
            said = message["params"]["payload"]
            yield JobEvent(datetime.fromisoformat(said["time"]), said["kind"], said["text"], said["value"])


def _messages(chunk: str) -> Iterator[Mapping[str, Any]]:
    for line in chunk.splitlines():
        if line.strip():
            yield json.loads(line)
