"""Candidates for tests of what examines and promotes them: small models, each fitted once, in a registry of memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.examination import Promotion
from ml_platform.engine.fitting import CHALLENGER
from ml_platform.engine.gate import GateRules
from ml_platform.engine.promotion import Promoted, promote
from ml_platform.engine.scored_again import Services
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.job import Needs
from ml_platform.records.metric import Task
from ml_platform.records.model import ModelVersion
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.lakehouse import EmbeddedLakehouse

RULES = GateRules("log_loss", {"roc_auc": 0.6})
KEY = "training_sets/late"


class Packages:
    """Fitted packages by what was asked, in a folder. table: the training set that they learned from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}
        self.table = folder / "table"
        self._pin = training_set.write(self.table)

    def fitted(self, estimator: str, *, coin_for: str = "", **changes: Any) -> Path:
        """A package of the estimator. coin_for: a carrier of which it learned from a coin's labels."""
        asked = json.dumps([estimator, coin_for, changes], sort_keys=True)
        if asked not in self._made:
            package = self._folder / f"package-{len(self._made)}"
            package.mkdir()
            pin = (
                training_set.write(self._folder / f"coin-{len(self._made)}", _coined(coin_for))
                if coin_for
                else self._pin
            )
            label = training_set.LABELS[changes.get("task", "binary")]
            fit(JobOrder(training_set.fit_arguments(pin, estimator=estimator, label=label, **changes), {}), package)
            self._made[asked] = package
        return self._made[asked]


def _coined(carrier: str) -> pa.Table:
    table = training_set.rows()
    label, of = table["late"].to_numpy(), np.array(table["carrier"].to_pylist()) == carrier
    coin = np.random.default_rng(0).random(len(label)) < 0.5
    at = table.schema.get_field_index("late")
    return table.set_column(at, "late", pa.array(np.where(of, coin, label)))


class World:
    """A lakehouse with one training set, and a registry to which versions can be brought."""

    def __init__(self, folder: Path, packages: Packages) -> None:
        self.lakehouse = EmbeddedLakehouse(str(folder / "lakehouse"))
        self.registry = MemoryModelRegistry()
        self.runner = InlineJobRunner()
        self.packages = packages
        self.table = Path(self.lakehouse.table(KEY).uri)
        shutil.copytree(packages.table, self.table)
        self.pin = {"uri": str(self.table), "version": 0}

    @property
    def services(self) -> Services:
        return Services(self.lakehouse, self.runner, self.registry, lambda _: None)

    def candidate(self, estimator: str, **changes: Any) -> int:
        """The number of a version that is challenger now."""
        pin = {"key": KEY, "version": self.pin["version"], "fingerprint": "f"}
        package = self.packages.fitted(estimator, **changes)
        version = self.registry.register("late", package, {"training_set": json.dumps(pin)})
        self.registry.move_alias("late", CHALLENGER, version.number)
        return version.number

    def promote(self, rules: GateRules = RULES, task: Task = "binary") -> Promoted:
        return promote(promotion(rules, task), self.lakehouse, self.runner, self.registry, self.services.say)

    def version(self, number: int) -> ModelVersion:
        found = self.registry.version("late", str(number))
        assert found is not None
        return found

    def champion(self) -> int | None:
        version = self.registry.version("late", CHAMPION)
        return version.number if version else None

    def evidence(self, number: int) -> Any:
        return json.loads(self.version(number).tags["gate"])


def promotion(rules: GateRules = RULES, task: Task = "binary") -> Promotion:
    """What is promoted by these rules."""
    return Promotion("models/late", training_set.LABELS[task], "test", rules, Needs())
