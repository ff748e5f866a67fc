"""The container contract of a job: an order comes as a folder, its program runs, what it says leaves in small chunks.

A service's own contract is translated to this one by the `edge` in its folder of `resources`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ml_platform.errors import DeclarationError
from ml_platform.jobs import openmp
from ml_platform.jobs.checkpoint import Checkpoint
from ml_platform.jobs.messages import Messages
from ml_platform.jobs.supervisor import ending, said
from ml_platform.records.table import Location

ORDER = "order.json"
FOLDERS = "folders"
PROGRAMS = ("fit", "score")
ENDED_BY_REQUEST = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Ended:
    """How a job ended. code: 0 for success, 143 where it was told to end; reason: why it failed, in its own words."""

    code: int
    reason: str = ""


def run_order(order: Path, output: Path, events: Location) -> Ended:
    """The folder `output`, which must not exist before, holding what the order's program wrote, if it succeeded.

    events: where its messages go, as Pipes' writers name them; what a search has tried is kept near by, until it has
    come to its end. SIGTERM to this process ends the program.
    Raises DeclarationError for an order that cannot be read.
    """
    with tempfile.TemporaryDirectory() as scratch, Messages(events) as messages, ExitStack() as opened:
        command, environment = _prepared(order, output, Path(scratch))
        kept = _checkpoint(order, events, Path(scratch))
        command += ["--state", str(opened.enter_context(kept).folder)] if kept else []
        errors = Path(scratch) / "stderr.log"
        with (
            errors.open("w", encoding="utf-8") as log,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8", env=environment
            ) as child,
            _forwarding(child) as told,
        ):
            for line in child.stdout or ():
                print(line, end="", flush=True)
                messages.say(said(line.rstrip("\n")))
        print(errors.read_text(encoding="utf-8", errors="replace"), end="", file=sys.stderr, flush=True)
        ended = ending(child.returncode, errors)
        done = Ended(ENDED_BY_REQUEST, "the job was told to end") if told else Ended(child.returncode, ended["reason"])
        messages.close(done.reason)
        if kept and not done.code:
            kept.forget()
    return done


def _prepared(order: Path, output: Path, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """The program's command and environment."""
    try:
        content: dict[str, Any] = json.loads((order / ORDER).read_text(encoding="utf-8"))
        program, arguments, threads = content["program"], content["arguments"], int(content["threads"])
    except (OSError, ValueError, KeyError) as error:
        raise DeclarationError(
            f"order {order} is not readable, but must hold {ORDER} with program, arguments and threads ({error!r})"
        ) from error
    if program not in PROGRAMS:
        raise DeclarationError(f"the order's program is {program!r}, but jobs are {', '.join(PROGRAMS)}")
    folders = {path.name: str(path) for path in (order / FOLDERS).glob("*")}
    spec = scratch / "spec.json"
    spec.write_text(json.dumps({"arguments": arguments, "folders": folders}), encoding="utf-8")
    command = [sys.executable, "-P", "-m", f"ml_platform.jobs.{program}", "--spec", str(spec), "--output", str(output)]
    # Threads that spin while they wait make a fit on shared cores several times as expensive.
    threading = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return command, {**os.environ, **threading, **openmp.environment(scratch / "lib")}


def _checkpoint(order: Path, events: Location, scratch: Path) -> Checkpoint | None:
    """Where a search finds what it has tried, whichever attempt at the very same order it is; None where none is made.

    Attempts have their folders side by side, `<attempt>/events`, and what they share beside these.
    """
    content = (order / ORDER).read_bytes()
    arguments = json.loads(content)["arguments"]
    if not (arguments.get("tune") or arguments.get("automl")):
        return None
    place = f"{events.uri.rstrip('/').rsplit('/', 2)[0]}/searches/{hashlib.sha256(content).hexdigest()[:32]}"
    return Checkpoint(Location("search", place, events.options), scratch / "state")


@contextmanager
def _forwarding(child: subprocess.Popen[str]) -> Iterator[list[int]]:
    """A list that holds the signal by which this process was told to end; the child has then been told too."""
    told: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        told.append(number)
        child.terminate()

    before = signal.signal(signal.SIGTERM, forward)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
