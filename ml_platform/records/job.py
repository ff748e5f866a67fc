"""Jobs as they travel: what to run, how it stands, what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

JobState = Literal["pending", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class Needs:
    """What a job or an endpoint asks of its machine; profiles map it to instances.

    cpu: cores. memory_gib: GiB of memory. accelerator: a portable name, or None.
    """

    cpu: float = 1.0
    memory_gib: float = 2.0
    accelerator: str | None = None


@dataclass(frozen=True)
class JobSpec:
    """One run of a program in `ml_platform.jobs`.

    name: unique in the environment; submitting the same name again attaches to the job that has it.
    program: the module's name in `ml_platform.jobs`.
    arguments: what the program reads, JSON-serialisable; tables are named by URI and version, models by folder.
    folders: name → local folder whose files the program reads; the runner brings them to where the job runs.
    needs: the machine that it asks for.
    """

    name: str
    program: Literal["fit", "score"]
    arguments: Mapping[str, Any]
    folders: Mapping[str, str] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True)
class JobEvent:
    """One thing that a job said: a line of its log, or a metric.

    kind: a line of the log, a metric (named in `text`), or progress (what is done in `text`, its share in 0–1).
    """

    time: datetime
    kind: Literal["log", "metric", "progress"]
    text: str
    value: float | None = None


@dataclass(frozen=True)
class JobStatus:
    """How a job stands.

    job_id: what the service calls it.
    reason: why it failed, for people; empty otherwise.
    """

    job_id: str
    state: JobState
    reason: str = ""
