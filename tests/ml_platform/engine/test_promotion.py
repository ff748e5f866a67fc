from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.files import filesystem, put
from ml_platform.engine.fitting import CHALLENGER
from ml_platform.engine.gate import GateRules
from ml_platform.engine.promotion import CHAMPION, Promoted, Promotion, promote
from ml_platform.errors import GateRefusedError, NotFoundError, ServiceError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.job import Needs
from ml_platform.records.metric import METRICS, Task
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.lakehouse import EmbeddedLakehouse

RULES = GateRules("log_loss", {"roc_auc": 0.6})


class World:
    """A lakehouse with one training set, and a registry to which versions can be fitted."""

    def __init__(self, folder: Path) -> None:
        self.lakehouse = EmbeddedLakehouse(str(folder / "lakehouse"))
        self.registry = MemoryModelRegistry()
        self.runner = InlineJobRunner()
        self.folder = folder
        self.table = Path(self.lakehouse.table("training_sets/late").uri)
        self.table.mkdir(parents=True)
        self.pin = training_set.write(self.table)

    def candidate(self, estimator: str, **changes: Any) -> int:
        package = self.folder / f"{estimator}-{len(self.registry.versions('late'))}"
        package.mkdir()
        label = training_set.LABELS[changes.get("task", "binary")]
        fit(JobOrder(training_set.fit_arguments(self.pin, estimator=estimator, label=label, **changes), {}), package)
        tags = {
            "training_set": json.dumps(
                {"key": "training_sets/late", "version": self.pin["version"], "fingerprint": "f"}
            )
        }
        version = self.registry.register("late", package, tags)
        self.registry.move_alias("late", CHALLENGER, version.number)
        return version.number

    def promote(self, rules: GateRules = RULES, task: Task = "binary") -> Promoted:
        promotion = Promotion("models/late", training_set.LABELS[task], "test", rules, Needs())
        return promote(promotion, self.lakehouse, self.runner, self.registry, lambda _: None)

    def champion(self) -> int | None:
        version = self.registry.version("late", CHAMPION)
        return version.number if version else None

    def evidence(self, number: int) -> Any:
        version = self.registry.version("late", str(number))
        assert version is not None
        return json.loads(version.tags["gate"])["decision"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_first_version_that_keeps_the_floors_becomes_champion(world: World) -> None:
    number = world.candidate("linear")

    done = world.promote()

    assert done.decision.promoted
    assert world.champion() == number
    assert world.evidence(number)["candidate"]["roc_auc"] > 0.6


def test_a_first_version_below_a_floor_is_an_error_and_no_champion_stands(world: World) -> None:
    number = world.candidate("baseline")

    with pytest.raises(GateRefusedError, match=r"version 1 did not pass its gate.*roc_auc"):
        world.promote()

    assert world.champion() is None
    assert world.evidence(number)["promoted"] is False


def test_a_worse_candidate_is_refused_and_the_champion_stays(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    worse = world.candidate("baseline")

    done = world.promote()

    assert not done.decision.promoted
    assert done.champion.number == world.champion() == champion
    assert world.evidence(worse)["champion"]["log_loss"] < world.evidence(worse)["candidate"]["log_loss"]


def test_a_better_candidate_takes_over(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")

    assert world.promote().decision.promoted
    assert world.champion() == better


@pytest.mark.parametrize(
    ("task", "rules"),
    [("multiclass", GateRules("log_loss", {"accuracy": 0.4})), ("regression", GateRules("rmse", {"rmse": 20}))],
)
def test_other_tasks_pass_the_same_gate(world: World, task: Task, rules: GateRules) -> None:
    world.candidate("baseline", task=task)
    world.promote(rules, task)
    better = world.candidate("linear", task=task)

    done = world.promote(rules, task)

    assert done.decision.promoted
    assert world.champion() == better
    assert done.decision.candidate.keys() == {*METRICS[task]}


def test_a_candidate_of_another_question_has_no_common_ground(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    world.candidate("linear", task="regression")

    done = world.promote()

    assert world.champion() == champion
    (reason,) = done.decision.reasons
    assert "version 2 a regression one and version 1 a binary one" in reason


def test_an_equal_model_under_another_number_is_not_better(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    world.candidate("linear")

    assert not world.promote().decision.promoted
    assert world.champion() == champion


def test_both_are_scored_on_the_rows_that_the_candidate_pins(world: World) -> None:
    world.candidate("linear")
    world.promote()
    world.candidate("baseline")
    world.promote()

    first, second = world.runner.submitted
    assert first.arguments["rows"] == second.arguments["rows"] == {**world.pin, "where": [["split", "=", "test"]]}
    assert set(second.arguments["models"]) == {"1", "2"}


def test_a_champion_is_never_scored_against_itself(world: World) -> None:
    world.candidate("linear")
    world.promote()

    again = world.promote()

    assert again.decision.promoted
    assert not again.evaluated
    assert len(world.runner.submitted) == 1


def test_a_standing_champion_is_told_when_it_breaks_todays_rules(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()

    done = world.promote(GateRules("log_loss", {"roc_auc": 0.9999}))

    assert not done.decision.promoted
    assert "must be at least 0.9999" in done.decision.reasons[0]
    assert done.champion.number == world.champion() == champion
    assert len(world.runner.submitted) == 1


def test_the_numbers_that_made_a_champion_stay_with_it(world: World) -> None:
    world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    better = world.candidate("linear")
    world.promote()

    again = world.promote()

    assert again.decision.champion == world.evidence(better)["champion"] != {}


def test_a_champion_that_takes_a_column_of_old_is_no_common_ground(world: World) -> None:
    champion = world.candidate("linear")
    world.promote()
    narrow = training_set.rows().drop_columns(["wind"])
    world.pin = training_set.write(world.table, narrow)
    world.candidate("linear", features={"hour": "number", "carrier": "category"})

    done = world.promote()

    assert not done.decision.promoted
    assert "version 1 takes wind" in done.decision.reasons[0]
    assert world.champion() == champion


def test_a_refused_candidate_is_not_scored_again_until_the_question_changes(world: World) -> None:
    world.candidate("linear")
    world.promote()
    world.candidate("baseline")
    world.promote()

    assert not world.promote().evaluated
    assert world.promote(GateRules("brier", {"roc_auc": 0.6})).evaluated


def test_a_scoring_job_that_fails_moves_nothing(world: World) -> None:
    world.candidate("linear")
    world.runner.fail_with = "no more memory"

    with pytest.raises(ServiceError, match="no more memory"):
        world.promote()

    assert world.champion() is None


def test_the_evidence_stands_before_the_alias_moves(world: World) -> None:
    world.candidate("linear")
    world.registry.calls.clear()

    world.promote()

    assert world.registry.calls.index("record") < world.registry.calls.index("move_alias")


def test_a_model_without_a_candidate_has_nothing_to_examine(world: World) -> None:
    with pytest.raises(NotFoundError, match="models/late has no candidate"):
        world.promote()


def test_nothing_is_promoted_while_served_features_differ_and_it_is_once_they_do_not(world: World) -> None:
    # given a champion, an endpoint of it in which skew was found, and a better candidate
    first = world.candidate("baseline")
    world.promote(GateRules("log_loss", {"roc_auc": 0.5}))
    verdicts = filesystem(world.lakehouse.files("platform/skew/models.late"))
    put(verdicts, "endpoints.late.json", json.dumps({"requests": 9, "through": 9, "differing": {"wind": 2}}).encode())
    second = world.candidate("linear")
    # then it is refused, and told by which feature
    refused = world.promote()
    assert (world.champion(), refused.decision.promoted) == (first, False)
    assert "requests to endpoints.late, served and offline features differ: wind in 2." in refused.decision.reasons[0]
    # when newer requests are clean, it takes over
    put(verdicts, "endpoints.late.json", json.dumps({"requests": 5, "through": 14, "differing": {}}).encode())
    assert world.promote().decision.promoted
    assert world.champion() == second
