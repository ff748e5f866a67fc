from __future__ import annotations

from dataclasses import replace

import pytest
from candidates import KEY, RULES, World

from ml_platform.engine.gate import Asked
from ml_platform.engine.scored_again import Question
from ml_platform.errors import ServiceError
from ml_platform.records.job import Needs
from ml_platform.records.table import TableVersion


def question(world: World, candidate: int, opponent: int | None = None, **changes: object) -> Question:
    other = world.version(opponent) if opponent else None
    pin = TableVersion(KEY, world.pin["version"], "f")
    asked = Question(world.version(candidate), other, pin, "late", "test", RULES.asked, Needs())
    return replace(asked, **changes)


def test_both_are_scored_by_one_job_on_the_pinned_rows_of_the_split(world: World) -> None:
    ours, theirs = world.candidate("linear"), world.candidate("baseline")
    found = question(world, ours, theirs).answer(world.services)
    (job,) = world.runner.submitted
    assert job.arguments["rows"] == {**world.pin, "where": [["split", "=", "test"]]}
    assert job.arguments["models"] == {"1": "1", "2": "2"}
    assert found.candidate["log_loss"] < found.champion["log_loss"]
    assert found.improvement.low > 0


def test_latency_and_size_of_both_are_measured(world: World) -> None:
    ours, theirs = world.candidate("linear"), world.candidate("baseline")
    found = question(world, ours, theirs).answer(world.services)
    for side in (found.candidate, found.champion):
        assert 0 < side["latency_median_ms"] <= side["latency_p99_ms"]
    # of a few hundred kilobytes, most of them plots
    assert 0.01 < found.candidate["size_mib"] < 10


def test_columns_of_slices_come_along(world: World) -> None:
    asked = Asked("log_loss", 0.95, 100, 0, ("carrier",), "log_loss", 30)
    found = question(world, world.candidate("linear"), asked=asked).answer(world.services)
    assert world.runner.submitted[-1].arguments["keep"] == ["late", "carrier"]
    assert {it.value for it in found.slices.slices} == {"AA", "DL", "UA", "(missing)"}


def test_a_snapshot_that_is_gone_is_no_common_ground(world: World) -> None:
    ours = world.candidate("linear")
    gone = question(world, ours, snapshot=TableVersion("training_sets/gone", 0, "f"))
    assert gone.answer(world.services) == (
        "Broken: training_sets/gone version 0, that they are to be scored on, is not there."
    )
    assert world.runner.submitted == []


def test_a_question_differs_by_whatever_its_answer_depends_on(world: World) -> None:
    ours, theirs = world.candidate("linear"), world.candidate("baseline")
    asked = question(world, ours, theirs)
    others = [
        question(world, theirs, ours),
        question(world, ours),
        replace(asked, split="validate"),
        replace(asked, asked=replace(asked.asked, metric="brier")),
        replace(asked, snapshot=TableVersion(KEY, 3, "g")),
        # A latency is that of the machine.
        replace(asked, needs=Needs(cpu=8)),
    ]
    assert len({asked.digest, *(other.digest for other in others)}) == 1 + len(others)
    assert question(world, ours, theirs).digest == asked.digest


def test_a_package_that_was_altered_is_not_scored(world: World) -> None:
    ours = world.candidate("linear")
    world.registry.alter("late", ours)
    with pytest.raises(ServiceError, match="altered"):
        question(world, ours).answer(world.services)
