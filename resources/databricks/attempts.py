"""The attempts at jobs, as a folder of a volume keeps them: what was ordered, and which run was started for it."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ml_platform.engine import remote_jobs
from ml_platform.records.job import JobSpec
from resources.databricks.volume import Volume

# What the service starts. It is uploaded after the order, so that where it stands the order is whole.
PROGRAM = "job.py"
_PROGRAM = b"import sys\n\nfrom resources.databricks.edge import main\n\nmain(sys.argv[1:])\n"
_RUN = "run"


@dataclass(frozen=True)
class Attempt:
    """One try at a job. name: of the job. number: from 1. fingerprint: of what was ordered."""

    name: str
    number: int
    fingerprint: str

    @property
    def folder(self) -> str:
        """Where it stands, below the folder of all jobs."""
        return f"{self.name}/{self.number:04d}-{self.fingerprint}"

    @property
    def token(self) -> str:
        """Whoever submits the attempt a second time with it gets the first one's run; 64 characters."""
        return hashlib.sha256(self.folder.encode()).hexdigest()


class Attempts:
    """Every job's attempts, below one folder of a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def last(self, name: str) -> Attempt | None:
        """The last attempt whose order is whole; None where there is none."""
        for folder in reversed(self._volume.entries(name)):
            if PROGRAM in self._volume.entries(f"{name}/{folder}"):
                number, _, fingerprint = folder.partition("-")
                return Attempt(name, int(number), fingerprint)
        return None

    def prepare(self, attempt: Attempt, spec: JobSpec) -> None:
        """The attempt's order stands whole."""
        with tempfile.TemporaryDirectory() as scratch:
            remote_jobs.write_order(spec, Path(scratch))
            self._volume.upload(Path(scratch), f"{attempt.folder}/order")
        self._volume.put(f"{attempt.folder}/{PROGRAM}", _PROGRAM)

    def run_of(self, attempt: Attempt) -> str | None:
        """The run that was started for the attempt; None where nobody wrote one down."""
        if not self._volume.holds(f"{attempt.folder}/{_RUN}"):
            return None
        return self._volume.get(f"{attempt.folder}/{_RUN}").decode()

    def submitted(self, attempt: Attempt, job_id: str) -> None:
        """The run is written down as the attempt's."""
        self._volume.put(f"{attempt.folder}/{_RUN}", job_id.encode())
