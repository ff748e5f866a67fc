"""A lakehouse and a compute service of this machine, and a short way to put rows into a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from candidates import Packages, World

from ml_platform.engine import delta
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.staging import stage
from ml_platform.engine.tables import Made, make
from ml_platform.records.table import TableSnapshot
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

Put = Callable[..., TableSnapshot]


@pytest.fixture
def lakehouse(tmp_path: Path) -> EmbeddedLakehouse:
    return EmbeddedLakehouse(str(tmp_path / "lakehouse"))


@pytest.fixture
def compute() -> EmbeddedCompute:
    return EmbeddedCompute(threads=1)


@pytest.fixture
def making(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> Callable[..., Made]:
    """A table made for some months of the first four of 2013, by their numbers; for all of them without any."""
    every = [f"2013-{month:02}" for month in range(1, 5)]

    def making(of: Recipe, *months: int) -> Made:
        return make(of, [f"2013-{month:02}" for month in months] or every, every, lakehouse, compute)

    return making


@pytest.fixture
def put(lakehouse: EmbeddedLakehouse) -> Put:
    """A table's rows, replaced: those of the partitions that come, or all where it has none."""

    def put(key: str, rows: pa.Table | Mapping[str, Any], partition: str | None = None) -> TableSnapshot:
        table = rows if isinstance(rows, pa.Table) else pa.table(dict(rows))
        location = lakehouse.table(key)
        before = delta.snapshot(location)
        staged = stage(table.to_batches(), table.schema, location, (partition,) if partition else ())
        if before is None:
            replaced = ()
        else:
            coming = {file.partition[partition] for file in staged.files} if partition else set()
            replaced = delta.restrict(before, partition or "", coming).files
        delta.commit(staged, read=before, replaced=replaced, transactions={}, evidence={})
        return delta.existing(location)

    return put


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Small models, each fitted when it is first asked for."""
    return Packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def world(tmp_path: Path, packages: Packages) -> World:
    """A lakehouse with a training set, and a registry without any version."""
    return World(tmp_path, packages)
