from __future__ import annotations

import json

import pytest
from candidates import KEY, RULES, World

from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.fitting import CHALLENGER, Fitted
from ml_platform.engine.gate import GateRules
from ml_platform.engine.taking import Taking, take
from ml_platform.errors import BindingError, GateRefusedError, NotFoundError, ServiceError
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.testing import training_set
from ml_platform.testing.memory_model_registry import MemoryModelRegistry

PIN = json.dumps({"key": KEY, "version": 41, "fingerprint": "theirs"})
GATE = json.dumps({"snapshot": {"version": 41}, "decision": {"promoted": True, "reasons": ["Kept: all."]}})


@pytest.fixture
def staging(world: World) -> MemoryModelRegistry:
    """Another environment, whose champion is the second version there."""
    made = MemoryModelRegistry()
    for estimator in ("baseline", "linear"):
        made.register("late", world.packages.fitted(estimator), {"training_set": PIN, "fingerprint": estimator})
    made.record("late", 2, {"gate": GATE})
    made.move_alias("late", CHAMPION, 2)
    return made


def taken(world: World, there: ModelRegistry, training: str = KEY) -> Fitted:
    taking = Taking("models/late", training, "staging", "prod")
    return take(taking, there, world.lakehouse, world.registry, lambda _: None)


def test_the_candidate_is_the_champion_there_byte_for_byte(world: World, staging: MemoryModelRegistry) -> None:
    done = taken(world, staging)
    (version,) = world.registry.versions("late")
    assert done.refitted
    assert version.digest == staging.version("late", CHAMPION).digest
    assert version.aliases == (CHALLENGER,)
    assert done.metrics["test"]["roc_auc"] > 0.7
    assert world.runner.submitted == []


def test_its_tags_say_where_it_comes_from_and_what_its_gate_found_there(
    world: World, staging: MemoryModelRegistry
) -> None:
    tags = taken(world, staging).version.tags
    origin = json.loads(tags["taken"])
    assert (origin["environment"], origin["number"]) == ("staging", 2)
    assert origin["digest"] == staging.version("late", "2").digest
    assert (origin["training_set"], origin["snapshot"]) == (json.loads(PIN), {"version": 41})
    assert (origin["promoted"], origin["reasons"]) == (True, ["Kept: all."])
    # It did not learn from a table here, so that none is pinned for making it again.
    assert "training_set" not in tags


def test_the_same_digest_is_not_registered_twice(world: World, staging: MemoryModelRegistry) -> None:
    first, again = taken(world, staging), taken(world, staging)
    assert (first.refitted, again.refitted) == (True, False)
    assert again.version.number == 1
    assert len(world.registry.versions("late")) == 1


def test_it_is_examined_on_the_rows_of_the_environment_that_takes_it(
    world: World, staging: MemoryModelRegistry
) -> None:
    taken(world, staging)
    done = world.promote()
    assert done.champion.number == 1
    assert (done.snapshot.key, done.snapshot.version) == (KEY, 0)
    assert world.runner.submitted[-1].arguments["rows"]["uri"] == str(world.table)


def test_one_that_was_refused_is_examined_on_newer_rows_and_a_champion_stays_what_it_is(
    world: World, staging: MemoryModelRegistry
) -> None:
    taken(world, staging)
    with pytest.raises(GateRefusedError):
        world.promote(GateRules("log_loss", {"roc_auc": 0.99}))
    training_set.write(world.table, training_set.rows(seed=8))
    taken(world, staging)
    assert world.promote().snapshot.version == 1
    training_set.write(world.table, training_set.rows(seed=9))
    taken(world, staging)
    again = world.promote()
    assert (again.snapshot.version, again.evaluated) == (1, False)


def test_the_gate_here_refuses_what_it_passed_there(world: World, staging: MemoryModelRegistry) -> None:
    taken(world, staging)
    with pytest.raises(GateRefusedError, match="roc_auc of the candidate"):
        world.promote(GateRules("log_loss", {"roc_auc": 0.9}))
    assert world.champion() is None


def test_rows_that_lack_what_it_takes_refuse_it(world: World, staging: MemoryModelRegistry) -> None:
    training_set.write(world.table, training_set.rows().drop_columns(["wind"]))
    taken(world, staging)
    with pytest.raises(
        GateRefusedError, match="version 1 takes wind, which rows of training_sets/late version 1 do not"
    ):
        world.promote(RULES)


def test_without_a_training_set_here_nothing_is_taken(world: World, staging: MemoryModelRegistry) -> None:
    with pytest.raises(NotFoundError, match="training_sets/other is not there in prod, but version 2 of staging is"):
        taken(world, staging, "training_sets/other")
    assert world.registry.versions("late") == []


def test_without_a_champion_there_nothing_is_taken(world: World) -> None:
    with pytest.raises(
        NotFoundError, match=r"no champion in staging, but prod takes it from there.*ML_PLATFORM_ENV=staging"
    ):
        taken(world, MemoryModelRegistry())


def test_files_that_were_altered_there_are_not_taken(world: World, staging: MemoryModelRegistry) -> None:
    staging.alter("late", 2)
    with pytest.raises(ServiceError, match="was altered"):
        taken(world, staging)
    assert world.registry.versions("late") == []


def test_a_registry_that_is_the_own_one_is_an_error(world: World) -> None:
    world.candidate("linear")
    world.promote()
    with pytest.raises(BindingError, match="the model registry of staging is that of prod"):
        taken(world, world.registry)
