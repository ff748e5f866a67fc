from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import write_deltalake

from ml_platform.engine import kept_code
from ml_platform.engine.fitting import CHALLENGER, Fitted, Fitting, fit, registered_name
from ml_platform.engine.training import Question
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.job import Needs
from ml_platform.records.split import HashSplit
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.testing import training_set
from ml_platform.testing.inline_job_runner import InlineJobRunner
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.lakehouse import EmbeddedLakehouse

FITTING = Fitting(
    model="models/late",
    training_set="training_sets/late",
    label=training_set.LABEL,
    features=training_set.FEATURES,
    task="binary",
    estimator="linear",
    baseline="baseline",
    parameters={},
    seed=1,
    needs=Needs(),
    code="c",
    question=Question(
        events="gold/late",
        columns=("flight", "at"),
        entity=("flight",),
        event_time="at",
        label=training_set.LABEL,
        split=HashSplit(("flight",), {"train": 0.8, "test": 0.2}),
    ),
)


class World:
    """A lakehouse with one training set, a runner and a registry."""

    def __init__(self, folder: Path) -> None:
        self.lakehouse = EmbeddedLakehouse(str(folder))
        self.registry = MemoryModelRegistry()
        self.runner = InlineJobRunner()
        self.table = Path(self.lakehouse.table("training_sets/late").uri)
        self.table.mkdir(parents=True)
        training_set.write(self.table)

    def fit(self, fitting: Fitting = FITTING) -> Fitted:
        return fit(fitting, self.lakehouse, self.runner, self.registry, lambda _: None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def challenger(registry: ModelRegistry) -> int:
    version = registry.version("late", CHALLENGER)
    assert version is not None
    return version.number


def test_a_fit_registers_a_challenger_pinned_to_its_training_set(world: World) -> None:
    fitted = world.fit()

    assert fitted.refitted
    assert challenger(world.registry) == fitted.version.number == 1
    assert fitted.training_set.version == 0
    assert '"version": 0' in fitted.version.tags["training_set"]
    assert set(fitted.plots) >= {"roc", "calibration", "importance", "learning_curve"}
    assert fitted.card.startswith("# models/late\n")


def test_a_version_knows_its_code_and_the_image_that_it_was_fitted_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "image" not in world.fit().version.tags
    # given a runner with an image, whose code is not that of whoever asks
    world.runner.image, said = "registry.example/ml-platform@sha256:ab12", []
    asked = kept_code.keep(world.lakehouse)
    monkeypatch.setattr(kept_code, "own_digest", lambda: "0" * 64)
    again = replace(FITTING, code="d")
    fitted = fit(again, world.lakehouse, world.runner, world.registry, said.append)
    assert fitted.version.tags["image"] == "registry.example/ml-platform@sha256:ab12"
    assert fitted.version.tags["kept_code"] == asked
    assert f"the job ran the code {'0' * 16}, and not {asked[:16]}, which asks for it and is kept" in said


def test_the_same_declaration_on_the_same_rows_is_not_fitted_again(world: World) -> None:
    first = world.fit()

    again = world.fit()

    assert not again.refitted
    assert again.version.number == first.version.number
    assert len(world.runner.submitted) == 1


def test_another_declaration_is_fitted_and_going_back_finds_the_old_version(world: World) -> None:
    world.fit()
    other = world.fit(replace(FITTING, estimator="baseline", code="d"))

    back = world.fit()

    assert other.version.number == 2
    assert not back.refitted
    assert challenger(world.registry) == 1


def test_new_rows_are_fitted(world: World) -> None:
    world.fit()
    write_deltalake(world.table, training_set.rows(seed=8), mode="overwrite")

    assert world.fit().version.number == 2


def test_a_fit_that_fails_leaves_the_challenger(world: World) -> None:
    world.fit()
    world.runner.fail_with = "out of memory"

    with pytest.raises(ServiceError, match="out of memory"):
        world.fit(replace(FITTING, code="d"))

    assert challenger(world.registry) == 1


def test_a_model_without_a_training_set_says_what_to_make(world: World) -> None:
    with pytest.raises(NotFoundError, match="Materialize training_sets/other first"):
        world.fit(replace(FITTING, training_set="training_sets/other"))


def test_the_registry_knows_a_model_by_the_last_part_of_its_key() -> None:
    assert registered_name("models/late") == "late"
