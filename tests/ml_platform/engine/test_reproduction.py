from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine.package import read_card, write_card
from ml_platform.engine.reproduction import Reproduced, reproduce
from ml_platform.errors import NotFoundError, PlatformError
from ml_platform.testing import shop
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.project import Project

Again = Callable[[Project], Reproduced]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = shop.project(tmp_path_factory.mktemp("shop"))
    ran = project.run('+key:"models/returns"', shop.EVERYTHING)
    assert ran.success, ran.failures
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """The same in a home of its own, where it can be damaged."""
    home = Path(made.lakehouse.table("x").uri).parents[3]
    shutil.copytree(home, tmp_path / "home")
    copy = Project(tmp_path, {})
    copy.services = {**copy.services, "model_registry": made.services["model_registry"]}
    return copy


def again(project: Project) -> Reproduced:
    registry = project.service("model_registry")
    (version,) = registry.versions("returns")
    return reproduce(version, registry, project.lakehouse, project.service("compute"), lambda _: None)


def table(project: Project, key: str) -> Path:
    return Path(project.lakehouse.table(key).uri)


def test_a_model_is_made_again_from_what_it_pins_to_the_byte(made: Project) -> None:
    before = made.version("training_sets/returns")

    done = again(made)

    assert (done.equal, done.same_rows, done.same_bytes, done.difference) == (True, True, True, 0.0)
    assert done.rows == 240
    assert done.moved == ()
    assert done.told()[-1] == "returns version 1 is reproduced"
    assert made.version("training_sets/returns") == before


def test_it_is_what_was_pinned_that_counts_and_not_what_came_since(project: Project, made: Project) -> None:
    """Rows that changed in the events and in a view after the fit are not in what is made again."""
    from ml_platform.engine import delta

    for key in ("silver/orders", "features/order_v1"):
        stands = delta.existing(project.lakehouse.table(key))
        delta.commit(
            delta.TableSnapshot(stands.location, stands.schema, stands.partition_by, stands.files[:1], stands.version),
            read=stands,
            replaced=stands.files,
            transactions={"later": 1},
            evidence={},
        )
    assert project.version("silver/orders") == made.version("silver/orders") + 1

    assert again(project).equal


def test_a_pinned_version_that_is_gone_is_told_and_its_own_rows_are_taken(project: Project) -> None:
    shutil.rmtree(table(project, "features/order_v1"))

    done = again(project)

    assert not done.equal
    assert done.difference == 0.0
    (told,) = done.moved
    assert "features/order_v1 version" in told
    assert done.told()[-1] == "returns version 1 is not reproduced"


def test_erased_rows_are_told(project: Project) -> None:
    """A file of a pinned version that an erasure has taken away leaves the training set unmade."""
    erased = next(table(project, "silver/orders").rglob("*.parquet"))
    erased.unlink()

    done = again(project)

    assert not done.equal
    assert erased.name in " ".join(done.moved)


def test_rows_that_are_nowhere_any_more_cannot_be_made_again(project: Project) -> None:
    shutil.rmtree(table(project, "silver/orders"))
    shutil.rmtree(table(project, "training_sets/returns"))

    with pytest.raises(NotFoundError, match="silver/orders version"):
        again(project)


def test_code_that_was_not_kept_is_told_and_that_which_runs_is_taken(project: Project) -> None:
    shutil.rmtree(Path(project.lakehouse.files("code/ml_platform").uri))

    done = again(project)

    assert done.equal
    assert "It was fitted by the code that runs here" in " ".join(done.moved)


def test_an_image_with_other_code_than_that_which_was_kept_is_told(made: Project, tmp_path: Path) -> None:
    # given a version that an image has fitted whose code was older than that of whoever asked
    genuine: Any = made.service("model_registry")
    (version,) = genuine.versions("returns")
    package = genuine.fetch("returns", 1, tmp_path / "package")
    write_card(package, replace(read_card(package), code="0123456789abcdef" * 4))
    image = "registry.example/ml-platform@sha256:ab12"
    registry, said = MemoryModelRegistry(), []
    forged = registry.register("returns", package, {**version.tags, "image": image})

    done = reproduce(forged, registry, made.lakehouse, made.service("compute"), said.append)

    # then its answers are the same, its files are not, and why is told
    assert (done.equal, done.same_bytes) == (True, False)
    (moved,) = done.moved
    assert moved.startswith(f"The code of the platform was 0123456789abcdef in the image {image} and is ")
    assert f"it was fitted in the image {image}, and is here by the code that was kept with it" in said


def test_code_that_was_altered_is_not_run(project: Project) -> None:
    (archive,) = Path(project.lakehouse.files("code/ml_platform").uri).glob("*.zip")
    archive.write_bytes(archive.read_bytes() + b"x")

    with pytest.raises(PlatformError, match="was altered"):
        again(project)


def test_a_version_that_was_taken_from_another_environment_is_reproduced_there(made: Project, tmp_path: Path) -> None:
    registry = MemoryModelRegistry()
    made.service("model_registry").fetch("returns", 1, tmp_path / "package")
    version = registry.register("returns", tmp_path / "package", {"taken": json.dumps({"environment": "staging"})})

    with pytest.raises(NotFoundError, match="It was taken from staging: reproduce it there"):
        reproduce(version, registry, made.lakehouse, made.service("compute"), lambda _: None)


def test_another_registry_s_version_does_not_say_what_it_was_made_from(made: Project, tmp_path: Path) -> None:
    registry = MemoryModelRegistry()
    made.service("model_registry").fetch("returns", 1, tmp_path / "package")
    (tmp_path / "package" / "order.json").unlink()
    version = registry.register("returns", tmp_path / "package", {})

    with pytest.raises(NotFoundError, match="does not say what it was made from"):
        reproduce(version, registry, made.lakehouse, made.service("compute"), lambda _: None)


def test_other_parameters_than_those_of_then_give_other_answers(made: Project, tmp_path: Path) -> None:
    """The comparison can fail: a package that another seed or parameter made is not taken for the same."""
    registry = MemoryModelRegistry()
    genuine: Any = made.service("model_registry")
    (version,) = genuine.versions("returns")
    genuine.fetch("returns", 1, tmp_path / "package")
    order = tmp_path / "package" / "order.json"
    told = json.loads(order.read_text())
    order.write_text(json.dumps({**told, "estimator": "baseline", "parameters": {}}))
    forged = registry.register("returns", tmp_path / "package", version.tags)

    done = reproduce(forged, registry, made.lakehouse, made.service("compute"), lambda _: None)

    assert done.same_rows
    assert done.difference > 0.01
    assert not done.equal
