from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ml_platform.engine import alias_log, delta, staging
from ml_platform.engine.scorer import Scorer
from ml_platform.engine.scoring import Scoring, score
from ml_platform.engine.tables import Made
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.feature import FeatureView
from ml_platform.records.job import Needs
from ml_platform.records.metric import Task
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

VIEW = FeatureView("air_v1", ("origin",), ("wind", "hour", "carrier"), ttl_hours=6)
SCORING = Scoring(
    key="predictions/late",
    model="models/late",
    events="gold/events",
    entity=("id", "origin"),
    event_time="event_time",
    where=None,
    column="month",
    partitions=("2013-01", "2013-02"),
    views={"features/air_v1": VIEW},
    needs=Needs(),
    code="c",
)
MONTHS = ("2013-01", "2013-02")
TIME = pa.timestamp("us", tz="UTC")


def at(month: int, hour: int) -> datetime:
    return datetime(2013, month, 15, hour, tzinfo=UTC)


class World:
    """Two months of events at one airport, a view with two rows, and a linear champion."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lakehouse = EmbeddedLakehouse(str(folder / "lakehouse"))
        self.registry = MemoryModelRegistry()
        self.runner = InlineJobRunner()
        self.events([(1, "2013-01", at(1, 12)), (2, "2013-02", at(2, 12)), (3, "2013-02", at(2, 20))])
        self.views([(at(1, 11), 1.0), (at(2, 11), -1.0)])
        self.promote("linear")

    def events(self, rows: list[tuple[int, str, datetime]]) -> None:
        ids, months, times = zip(*rows, strict=True)
        table = pa.table(
            {"id": ids, "month": months, "event_time": pa.array(times, TIME), "origin": ["JFK"] * len(ids)}
        )
        write_deltalake(self.lakehouse.table("gold/events").uri, table, mode="append", partition_by=["month"])

    def views(self, rows: list[tuple[datetime, float]]) -> None:
        """The view's rows from the moment each was known, about an hour before."""
        known = [moment for moment, _ in rows]
        view = pa.table(
            {
                "origin": ["JFK"] * len(rows),
                "event_time": pa.array([moment - timedelta(hours=1) for moment in known], TIME),
                "known_at": pa.array(known, TIME),
                "wind": [wind for _, wind in rows],
                "hour": [5] * len(rows),
                "carrier": ["UA"] * len(rows),
                "month": [moment.strftime("%Y-%m") for moment in known],
            }
        )
        uri = self.lakehouse.table("features/air_v1").uri
        write_deltalake(uri, view, mode="append", partition_by=["month"])

    def promote(self, estimator: str, task: Task = "binary") -> None:
        package = self.folder / f"{task}-{estimator}" if task != "binary" else self.folder / estimator
        package.mkdir()
        pin = training_set.write(self.folder / "training_set")
        arguments = training_set.fit_arguments(pin, estimator=estimator, task=task, label=training_set.LABELS[task])
        fit(JobOrder(arguments, {}), package)
        version = self.registry.register("late", package, {})
        self.registry.move_alias("late", "champion", version.number)

    def score(self) -> Made:
        return score(SCORING, MONTHS, self.lakehouse, EmbeddedCompute(), self.runner, self.registry, lambda _: None)

    def rows(self) -> dict[tuple[int, int], dict[str, object]]:
        table = delta.read_rows(delta.existing(self.lakehouse.table("predictions/late")))
        return {(row["id"], row["model_version"]): row for row in table.to_pylist()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_event_is_scored_with_its_features_as_of_then(world: World) -> None:
    world.score()

    rows = world.rows()
    champion = Scorer.load(world.folder / "linear")
    assert [rows[number, 1]["wind"] for number in (1, 2, 3)] == [1.0, -1.0, None]
    for row in rows.values():
        expected = champion.predict({name: [row[name]] for name in training_set.FEATURES})[0]
        assert row["prediction"] == pytest.approx(expected, abs=1e-12)


def test_every_row_keeps_its_own_answer_when_rows_fill_many_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_FILE_BYTES", 1)
    monkeypatch.setattr(staging, "_GROUP_ROWS", 16)
    draw = np.random.default_rng(3)
    world.events([(number, "2013-01", at(1, 12) + timedelta(seconds=number)) for number in range(100, 400)])
    world.views([(at(1, 12) + timedelta(seconds=number), float(draw.normal())) for number in range(100, 400)])

    world.score()

    rows = list(world.rows().values())
    expected = Scorer.load(world.folder / "linear").predict(
        {name: [row[name] for row in rows] for name in training_set.FEATURES}
    )
    assert len(rows) == 303
    assert [row["prediction"] for row in rows] == pytest.approx(list(expected), abs=1e-12)


def test_a_class_is_predicted_with_its_probability(world: World) -> None:
    world.promote("linear", "multiclass")

    world.score()

    champion = Scorer.load(world.folder / "multiclass-linear")
    for row in world.rows().values():
        shares = champion.predict({name: [row[name]] for name in training_set.FEATURES})[0]
        assert row["prediction"] == champion.card.classes[shares.argmax()]
        assert row["probability"] == pytest.approx(shares.max(), abs=1e-12)


def test_scoring_again_appends_nothing(world: World) -> None:
    world.score()

    again = world.score()

    assert again.commit.unchanged
    assert len(world.runner.submitted) == 1


def test_only_what_was_not_answered_yet_is_scored(world: World) -> None:
    world.score()
    world.events([(4, "2013-01", at(1, 13))])

    made = world.score()

    assert set(made.remade) == {"2013-01", "2013-02"}
    assert made.commit.rows_added == 1
    assert (4, 1) in world.rows()


def test_another_champion_scores_beside_what_was_scored(world: World) -> None:
    world.score()
    world.promote("baseline")

    world.score()

    assert set(world.rows()) == {(number, version) for number in (1, 2, 3) for version in (1, 2)}


def test_a_champion_that_somebody_made_by_hand_is_told_before_it_scores(world: World) -> None:
    world.score()
    (move,) = alias_log.moves(world.registry.versions("late"))
    assert (move.was, move.number, move.by) == (None, 1, "hand")


def test_a_scoring_job_that_fails_appends_nothing(world: World) -> None:
    world.runner.fail_with = "no more memory"

    with pytest.raises(ServiceError, match="no more memory"):
        world.score()

    assert delta.snapshot(world.lakehouse.table("predictions/late")) is None


def test_without_a_champion_nothing_is_scored(world: World) -> None:
    world.registry = MemoryModelRegistry()

    with pytest.raises(NotFoundError, match="has no champion"):
        world.score()
