"""The flights graph as tests see it: a home that it was made in, and commands that run there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Flights:
    """The flights graph, materialized for the whole of 2013 by the plain Dagster command.

    home: where its embedded services keep everything. environment: of every command on it.
    """

    home: Path
    environment: dict[str, str]

    def run(self, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """The finished command; a name without a slash is a program of our own environment."""
        program = command[0] if "/" in command[0] else str(BIN / command[0])
        return subprocess.run(
            [program, *command[1:]], cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )
