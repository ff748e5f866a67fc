from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ml_platform.engine import delta
from ml_platform.engine.drift import DriftRules
from ml_platform.engine.monitoring import Monitoring, watch
from ml_platform.errors import NotFoundError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.testing import training_set
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

MONITORING = Monitoring(
    "monitors/late", "predictions/late", "models/late", ("id", "month"), "month", DriftRules(0.2, 0.2, 500), "c"
)
COMPUTE = EmbeddedCompute()


@pytest.fixture
def registry(tmp_path: Path) -> MemoryModelRegistry:
    made, package = MemoryModelRegistry(), tmp_path / "package"
    package.mkdir()
    fit(JobOrder(training_set.fit_arguments(training_set.write(tmp_path / "rows"), estimator="baseline"), {}), package)
    made.register("late", package, {})
    made.move_alias("late", "champion", 1)
    return made


@pytest.fixture
def lakehouse(tmp_path: Path) -> EmbeddedLakehouse:
    """Predictions of three months: as trained, with the wind shifted, and with a handful of rows."""
    made = EmbeddedLakehouse(str(tmp_path / "lakehouse"))
    rows = training_set.rows(seed=11)
    shifted = rows.set_column(1, "wind", pa.array(rows["wind"].to_numpy() + 2))
    months = [("2013-10", rows), ("2013-11", shifted), ("2013-12", rows.slice(0, 20))]
    for month, part in months:
        table = part.select(["id", *training_set.FEATURES])
        table = table.append_column("month", pa.array([month] * part.num_rows))
        table = table.append_column("prediction", pa.array(np.full(part.num_rows, 0.4)))
        at = pa.array([datetime(2013, 12, 1, tzinfo=UTC)] * part.num_rows, pa.timestamp("us", tz="UTC"))
        table = table.append_column("processed_at", at)
        table = table.append_column("model_version", pa.array([1] * part.num_rows))
        write_deltalake(made.table("predictions/late").uri, table, mode="append")
    return made


def states(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> dict[tuple[str, str], str]:
    made = watch(MONITORING, lakehouse, COMPUTE, registry)
    return {(row["window"], row["feature"]): row["state"] for row in delta.read_rows(made.snapshot).to_pylist()}


def test_a_shifted_feature_is_named_in_its_window_alone(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    found = states(lakehouse, registry)

    assert found["2013-10", "wind"] == "steady"
    assert found["2013-11", "wind"] == "drifted"
    assert found["2013-11", "carrier"] == "steady"


def test_a_window_with_too_few_rows_says_so(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    found = states(lakehouse, registry)

    assert {state for (window, _), state in found.items() if window == "2013-12"} == {"not enough data"}


def test_the_predictions_themselves_are_watched(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    assert ("2013-10", "prediction") in states(lakehouse, registry)


def test_predictions_of_another_version_are_not_the_champions(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    registry.register("late", registry.fetch("late", 1, Path(lakehouse.files("x").uri)), {"fingerprint": "other"})
    registry.move_alias("late", "champion", 2)

    assert states(lakehouse, registry) == {
        ("none yet", feature): "not enough data" for feature in (*training_set.FEATURES, "prediction")
    }


def test_watching_again_is_unchanged(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    watch(MONITORING, lakehouse, COMPUTE, registry)

    assert watch(MONITORING, lakehouse, COMPUTE, registry).commit.unchanged


def test_without_a_champion_there_is_no_baseline(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(NotFoundError, match="has no champion"):
        watch(MONITORING, lakehouse, COMPUTE, MemoryModelRegistry())
