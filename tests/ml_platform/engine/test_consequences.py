from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.compaction import compact
from ml_platform.engine.consequences import Consequences, consequences
from ml_platform.engine.staging import stage
from ml_platform.engine.table_log import TableLog, read_log
from ml_platform.records.endpoint import Revision, TrafficSplit
from ml_platform.records.upkeep import Pin
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

Make = Callable[..., str]
KEYS = ("bronze/orders", "silver/orders", "training_sets/late")


@pytest.fixture
def make(lakehouse: EmbeddedLakehouse) -> Make:
    """One row in place of all that the table had, made of versions of others; the path of its file."""

    def make(key: str, number: int, *, keep: bool = False, **read: int) -> str:
        rows = pa.table({"n": [number]})
        location = lakehouse.table(key)
        staged = stage(rows.to_batches(), rows.schema, location)
        before = delta.snapshot(location)
        replaced = before.files if before and not keep else ()
        evidence = {"read": {name.replace("_", "/", 1): version for name, version in read.items()}}
        delta.commit(staged, read=before, replaced=replaced, transactions={}, evidence=evidence)
        return staged.files[0].path

    return make


@pytest.fixture
def logs(lakehouse: EmbeddedLakehouse) -> Callable[[], dict[str, TableLog]]:
    return lambda: {key: read_log(lakehouse.table(key)) for key in KEYS}


def pin(number: int, version: int) -> Pin:
    return Pin("late", number, f"digest-{number}", "training_sets/late", version)


def serving(endpoint: str, number: int) -> Revision:
    return Revision(endpoint, 1, TrafficSplit({number: 1.0}), {number: f"digest-{number}"}, "", ready=True)


def test_damage_is_followed_to_whatever_was_made_of_it_and_no_further(make: Make, logs: Any) -> None:
    # given a file that silver's version 0 and the first training set were made of, and a second chain without it
    bad = make("bronze/orders", 1)
    make("silver/orders", 2, bronze_orders=0)
    make("bronze/orders", 3)
    make("training_sets/late", 4, silver_orders=0)
    make("silver/orders", 5, bronze_orders=1)
    make("training_sets/late", 6, silver_orders=1)
    revisions = [serving("old", 1), serving("new", 2)]
    # when it is damaged
    found = consequences({"bronze/orders": [bad]}, {}, logs(), [pin(1, 0), pin(2, 1)], revisions)
    # then only the first chain is touched
    assert found == Consequences(
        {"bronze/orders": (0,), "silver/orders": (0,), "training_sets/late": (0,)}, (pin(1, 0),), ("old",)
    )


def test_versions_that_still_hold_a_file_are_touched(make: Make, logs: Any) -> None:
    bad = make("bronze/orders", 1)
    make("bronze/orders", 2, keep=True)
    make("bronze/orders", 3)
    for number, key in enumerate(KEYS[1:]):
        make(key, number)
    assert consequences({"bronze/orders": [bad]}, {}, logs(), [], []).versions == {"bronze/orders": (0, 1)}


def test_a_rewritten_file_is_made_of_those_that_it_replaces(
    make: Make, logs: Any, lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    bad = make("bronze/orders", 1)
    make("bronze/orders", 2, keep=True)
    compact(delta.existing(lakehouse.table("bronze/orders")), (), compute)
    make("silver/orders", 3, bronze_orders=2)
    make("training_sets/late", 4)
    assert consequences({"bronze/orders": [bad]}, {}, logs(), [], []).versions == {
        "bronze/orders": (0, 1, 2),
        "silver/orders": (0,),
    }


def test_a_pinned_version_that_cannot_be_opened_touches_its_model(make: Make, logs: Any) -> None:
    for number, key in enumerate(KEYS):
        make(key, number)
    found = consequences({}, {"training_sets/late": [7]}, logs(), [pin(1, 7)], [serving("late", 1)])
    assert (found.models, found.endpoints) == ((pin(1, 7),), ("late",))


def test_without_damage_nothing_is_touched(make: Make, logs: Any) -> None:
    for number, key in enumerate(KEYS):
        make(key, number)
    assert consequences({}, {}, logs(), [pin(1, 0)], [serving("late", 1)]) == Consequences({}, (), ())


def test_predictions_of_a_model_that_learned_from_damage_are_touched(
    make: Make, logs: Any, lakehouse: EmbeddedLakehouse
) -> None:
    # given predictions of two models, of which one learned from a damaged file
    bad = make("training_sets/late", 1)
    make("training_sets/late", 2)
    location = lakehouse.table("silver/orders")
    for number in (1, 2):
        rows = pa.table({"n": [number]})
        staged = stage(rows.to_batches(), rows.schema, location)
        before = delta.snapshot(location)
        evidence = {"read": {"bronze/orders": 0}, "code": f"abc digest-{number}"}
        gone = before.files if before else ()
        delta.commit(staged, read=before, replaced=gone, transactions={}, evidence=evidence)
    # then those of that one are
    found = consequences({"training_sets/late": [bad]}, {}, logs(), [pin(1, 0), pin(2, 1)], [])
    assert found.models == (pin(1, 0),)
    assert found.versions == {"training_sets/late": (0,), "silver/orders": (0,)}
