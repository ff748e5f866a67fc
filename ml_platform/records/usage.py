"""Usage as it travels: what a service says that a job took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """One job's. instance: the type of its machine. billable_seconds: as the service reports them."""

    job_id: str
    instance: str
    billable_seconds: float
