"""Scoring again: a candidate and what it is compared with, by one job on one pinned snapshot, measured alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from ml_platform.engine import delta
from ml_platform.engine.gate import SIZE, Asked
from ml_platform.engine.measuring import Scored, measured
from ml_platform.engine.package import ModelCard, read_card, read_json, size_bytes
from ml_platform.engine.program import digest
from ml_platform.engine.running import run
from ml_platform.engine.sending import sent
from ml_platform.records.gate import Measured
from ml_platform.records.job import JobSpec, Needs
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

_SCORES, _LATENCY = "scores.parquet", "latency.json"
_TIMED_ROWS = 300
_MIB = 2**20
_START_AGAIN = "Remove the alias champion to start again from the floors"


@dataclass(frozen=True)
class Services:
    """What scores again. say: told what goes on."""

    lakehouse: Lakehouse
    runner: JobRunner
    registry: ModelRegistry
    say: Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """Who is scored on which rows, and what is measured of it.

    opponent: None where there is nobody to compare with. label, split: of the snapshot's rows.
    """

    candidate: ModelVersion
    opponent: ModelVersion | None
    snapshot: TableVersion
    label: str
    split: str
    asked: Asked
    needs: Needs

    @cached_property
    def digest(self) -> str:
        """Of everything that the numbers depend on, the programs that score and measure included."""
        parts = [
            digest("jobs.score", "engine.measuring"),
            self.told,
            [version.digest for version in self._versions],
            asdict(self.snapshot),
            asdict(self.needs),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def told(self) -> dict[str, Any]:
        """What is measured, as JSON has it."""
        found: dict[str, Any] = json.loads(json.dumps({"split": self.split, **asdict(self.asked)}))
        return found

    def answer(self, services: Services) -> Measured | str:
        """What was measured, or a sentence that says why nothing can be."""
        with TemporaryDirectory() as folder:
            packages = {str(it.number): self._fetched(it, services.registry, Path(folder)) for it in self._versions}
            cards = {number: read_card(package) for number, package in packages.items()}
            lacking = self._lacking(cards, services.lakehouse)
            if lacking:
                return lacking
            location = services.lakehouse.table(self.snapshot.key)
            table, along = sent(location, self.snapshot.version, services.runner, Path(folder))
            folders = {**{number: str(package) for number, package in packages.items()}, **along}
            job = replace(self._job(table), folders=folders)
            done = run(services.runner, job, services.say, Path(folder) / "scores")
            latency = read_json(done / _LATENCY)
            besides = {
                number: {**latency.get(f"score_{number}", {}), SIZE: size_bytes(package) / _MIB}
                for number, package in packages.items()
            }
            scored = Scored(cards, pq.read_table(done / _SCORES), self.label, besides)
        opponent = str(self.opponent.number) if self.opponent else None
        return measured(scored, self.asked, str(self.candidate.number), opponent)

    @property
    def _versions(self) -> list[ModelVersion]:
        return [self.candidate, *([self.opponent] if self.opponent else [])]

    def _fetched(self, version: ModelVersion, registry: ModelRegistry, folder: Path) -> Path:
        return registry.fetch(version.name, version.number, folder / str(version.number))

    def _job(self, table: Mapping[str, Any]) -> JobSpec:
        return JobSpec(
            name=f"gate-{self.candidate.name}-{self.digest}",
            program="score",
            arguments={
                "rows": {**table, "where": [["split", "=", self.split]]},
                "models": {str(version.number): str(version.number) for version in self._versions},
                "keep": list(dict.fromkeys([self.label, *self.asked.slices])),
                "timed_rows": _TIMED_ROWS,
            },
            needs=self.needs,
        )

    def _lacking(self, cards: Mapping[str, ModelCard], lakehouse: Lakehouse) -> str:
        """Why a version cannot be scored on the snapshot's rows, in a sentence; empty where all can."""
        pin = self.snapshot
        tasks = {number: card.task for number, card in cards.items()}
        if len({*tasks.values()}) > 1:
            told = " and ".join(f"version {number} a {task} one" for number, task in tasks.items())
            return f"Broken: they answer other questions, {told}. {_START_AGAIN}."
        snapshot = delta.snapshot(lakehouse.table(pin.key), pin.version)
        if snapshot is None:
            return f"Broken: {pin.key} version {pin.version}, that they are to be scored on, is not there."
        for number, card in cards.items():
            absent = [feature.name for feature in card.features if feature.name not in snapshot.schema.names]
            if absent:
                rows = f"rows of {pin.key} version {pin.version}"
                return (
                    f"Broken: version {number} takes {', '.join(absent)}, which {rows} do not have, so there is no "
                    f"common ground to compare on. Keep the feature until the next champion. {_START_AGAIN} otherwise."
                )
        return ""
