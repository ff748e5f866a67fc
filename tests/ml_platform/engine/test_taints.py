from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta, taints
from ml_platform.engine.pins import pins
from ml_platform.engine.staging import stage
from ml_platform.engine.table_log import read_log
from ml_platform.engine.taints import Walked, mark, of_version, reaching
from ml_platform.errors import NotFoundError
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.lakehouse import EmbeddedLakehouse

KEYS = ("bronze/orders", "silver/orders", "training_sets/late")
Make = Callable[..., None]


@pytest.fixture
def registry() -> MemoryModelRegistry:
    return MemoryModelRegistry()


@pytest.fixture
def make(lakehouse: EmbeddedLakehouse) -> Make:
    """A row in place of all that a table had, made of versions of others."""

    def make(key: str, number: int, **read: int) -> None:
        rows = pa.table({"n": [number]})
        location = lakehouse.table(key)
        before = delta.snapshot(location)
        evidence = {"read": {name.replace("_", "/", 1): version for name, version in read.items()}}
        staged = stage(rows.to_batches(), rows.schema, location)
        gone = before.files if before else ()
        delta.commit(staged, read=before, replaced=gone, transactions={}, evidence=evidence)

    return make


@pytest.fixture
def fit(registry: MemoryModelRegistry, tmp_path: Path) -> Callable[[int], None]:
    """A version of `late` that learned from a version of its training set."""

    def fit(version: int) -> None:
        package = tmp_path / f"package-{version}-{len(registry.versions('late'))}"
        package.mkdir()
        (package / "model.txt").write_text(package.name)
        pin = f'{{"key": "training_sets/late", "version": {version}, "fingerprint": ""}}'
        registry.register("late", package, {"training_set": pin})

    return fit


@pytest.fixture
def over(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> Callable[[], Walked]:
    def over() -> Walked:
        logs = {key: read_log(lakehouse.table(key)) for key in KEYS}
        return Walked(logs, pins(registry), [], lambda *_: None)

    return over


def test_a_version_fitted_on_the_same_is_tainted_as_well_and_one_without_it_is_not(
    make: Make, fit: Any, over: Any, registry: MemoryModelRegistry, lakehouse: EmbeddedLakehouse
) -> None:
    # given a model that learned from what is wrong
    make("bronze/orders", 1)
    make("silver/orders", 2, bronze_orders=0)
    make("training_sets/late", 3, silver_orders=0)
    fit(0)
    mark("bronze/orders@0", "wrong", of_version("bronze/orders", 0, over().logs), over, registry, lakehouse)
    # when it is fitted on the same rows again, and then on others
    fit(0)
    make("bronze/orders", 4)
    make("silver/orders", 5, bronze_orders=1)
    make("training_sets/late", 6, silver_orders=1)
    fit(1)
    # then the last of them is clean
    found = reaching(taints.taints(lakehouse), over, registry)
    assert set(found) == {("late", 1), ("late", 2)}
    (reach,) = found["late", 2]
    assert reach.way == (("training_sets/late", 0), ("silver/orders", 0), ("bronze/orders", 0))
    assert reach.told == (
        "bronze/orders@0 is wrong (wrong), and was read by way of training_sets/late version 0 ← silver/orders "
        "version 0 ← bronze/orders version 0"
    )


def test_a_taint_outlives_the_logs_that_it_was_found_by(
    make: Make, fit: Any, over: Any, registry: MemoryModelRegistry, lakehouse: EmbeddedLakehouse
) -> None:
    make("bronze/orders", 1)
    make("silver/orders", 2, bronze_orders=0)
    make("training_sets/late", 3, silver_orders=0)
    fit(0)
    mark("bronze/orders@0", "wrong", of_version("bronze/orders", 0, over().logs), over, registry, lakehouse)
    # when the commit is gone that says what the training set was made of
    log = Path(lakehouse.table("silver/orders").uri) / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace("bronze/orders", "bronze/others"))
    fit(0)
    assert set(reaching(taints.taints(lakehouse), over, registry)) == {("late", 1), ("late", 2)}


def test_without_a_taint_no_log_is_read(registry: MemoryModelRegistry, lakehouse: EmbeddedLakehouse) -> None:
    def over() -> Walked:
        raise AssertionError("nothing is to be walked over")

    assert reaching(taints.taints(lakehouse), over, registry) == {}


def test_of_a_commit_that_brought_nothing_all_that_stood_is_wrong(make: Make, over: Any, lakehouse: Any) -> None:
    for number, key in enumerate(KEYS):
        make(key, number)
    before = delta.existing(lakehouse.table("silver/orders"))
    nothing = stage([], before.schema, before.location)
    delta.commit(nothing, read=before, replaced=(), transactions={"n": 1}, evidence={})
    found = of_version("silver/orders", 1, over().logs)
    assert found.files == {"silver/orders": [before.files[0].path]}
    with pytest.raises(NotFoundError, match="version 2 of silver/orders is to be tainted, but there never was one"):
        of_version("silver/orders", 2, over().logs)
