"""The contract of a model registry, as tests: inherit it and supply the registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ml_platform.engine.package import digest
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import DeclarationError, NotFoundError, PlatformError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.testing import training_set


class ModelRegistryContract:
    """What every model registry keeps."""

    @pytest.fixture
    def registry(self, tmp_path: Path) -> ModelRegistry:
        """The service under test, without any model."""
        raise NotImplementedError

    @pytest.fixture
    def another(self, registry: ModelRegistry, tmp_path: Path) -> ModelRegistry:
        """The same service of another environment, without any model."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def package(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A small fitted model."""
        folder = tmp_path_factory.mktemp("package")
        pin = training_set.write(tmp_path_factory.mktemp("training_set"))
        fit(JobOrder(training_set.fit_arguments(pin), {}), folder)
        return folder

    def test_versions_are_numbered_from_one_and_keep_their_tags(self, registry: ModelRegistry, package: Path) -> None:
        assert registry.versions("late") == []
        first = registry.register("late", package, {"fingerprint": "a", "pin": "gold/late@3"})
        second = registry.register("late", package, {"fingerprint": "b"})
        assert [first.number, second.number] == [1, 2]
        assert first.tags == {"fingerprint": "a", "pin": "gold/late@3"}
        assert first.digest == digest(package)
        assert registry.versions("late") == [first, second]

    def test_every_model_that_is_registered_is_named(self, registry: ModelRegistry, package: Path) -> None:
        assert registry.names() == []
        for name in ("late", "early"):
            registry.register(name, package, {})
        assert registry.names() == ["early", "late"]

    def test_same_fingerprint_is_the_same_version(self, registry: ModelRegistry, package: Path) -> None:
        first = registry.register("late", package, {"fingerprint": "a"})
        assert registry.register("late", package, {"fingerprint": "a"}) == first
        assert len(registry.versions("late")) == 1

    def test_alias_moves_and_names_one_version(self, registry: ModelRegistry, package: Path) -> None:
        for fingerprint in ("a", "b"):
            registry.register("late", package, {"fingerprint": fingerprint})
        assert registry.version("late", "champion") is None
        registry.move_alias("late", "champion", 1)
        registry.move_alias("late", "champion", 2)
        assert _found(registry, "champion").number == 2
        assert [version.aliases for version in registry.versions("late")] == [(), ("champion",)]

    def test_version_is_found_by_its_number(self, registry: ModelRegistry, package: Path) -> None:
        registered = registry.register("late", package, {})
        assert registry.version("late", "1") == registered
        assert registry.version("late", "2") is None
        assert registry.version("other", "1") is None

    def test_alias_of_an_absent_version_is_not_found(self, registry: ModelRegistry, package: Path) -> None:
        registry.register("late", package, {})
        with pytest.raises(NotFoundError, match="version 2 of model late"):
            registry.move_alias("late", "champion", 2)
        assert registry.version("late", "champion") is None

    def test_recorded_tags_stand_beside_those_that_were_there(self, registry: ModelRegistry, package: Path) -> None:
        registry.register("late", package, {"a": "1", "b": "2"})
        registry.record("late", 1, {"b": "3", "c": "4"})
        assert _found(registry, "1").tags == {"a": "1", "b": "3", "c": "4"}

    def test_an_alias_goes_back_to_a_version_that_it_named_before(self, registry: ModelRegistry, package: Path) -> None:
        for _ in range(2):
            registry.register("late", package, {})
        for number in (1, 2, 1):
            registry.move_alias("late", "champion", number)
        assert [version.aliases for version in registry.versions("late")] == [("champion",), ()]

    def test_evidence_of_a_gate_is_kept_and_replaced_as_it_was_written(
        self, registry: ModelRegistry, package: Path
    ) -> None:
        registry.register("late", package, {"asset": "models/late"})
        for rounds in (1000, 700):
            evidence = {"gate": json.dumps({"reasons": [f"kept: ≥ {at}" for at in range(rounds)]})}
            registry.record("late", 1, evidence)
            assert _found(registry, "1").tags == {"asset": "models/late", **evidence}

    def test_environments_do_not_see_each_other(
        self, registry: ModelRegistry, another: ModelRegistry, package: Path
    ) -> None:
        registry.register("late", package, {})
        registry.move_alias("late", "champion", 1)
        assert another.versions("late") == []
        assert another.version("late", "champion") is None
        another.register("early", package, {})
        assert (registry.names(), another.names()) == (["late"], ["early"])

    def test_what_is_fetched_from_one_environment_is_the_same_version_by_digest_in_another(
        self, registry: ModelRegistry, another: ModelRegistry, package: Path, tmp_path: Path
    ) -> None:
        there = registry.register("late", package, {"fingerprint": "a", "pin": "gold/late@3"})
        here = another.register("late", registry.fetch("late", 1, tmp_path / "there"), {"fingerprint": "b"})
        assert here.digest == there.digest == digest(another.fetch("late", here.number, tmp_path / "here"))
        assert here.tags == {"fingerprint": "b"}

    def test_digest_is_not_for_the_caller_to_set(self, registry: ModelRegistry, package: Path) -> None:
        with pytest.raises(DeclarationError, match="tag digest is given"):
            registry.register("late", package, {"digest": "0"})
        registry.register("late", package, {})
        with pytest.raises(DeclarationError, match="tag digest is given"):
            registry.record("late", 1, {"digest": "0"})

    def test_fetched_package_is_the_registered_one(
        self, registry: ModelRegistry, package: Path, tmp_path: Path
    ) -> None:
        registry.register("late", package, {})
        fetched = registry.fetch("late", 1, tmp_path / "fetched")
        assert digest(fetched) == digest(package)
        table = training_set.rows()
        columns = training_set.columns(table)
        assert (Scorer.load(fetched).predict(columns) == Scorer.load(package).predict(columns)).all()

    def test_package_with_a_pickle_is_not_registered(
        self, registry: ModelRegistry, package: Path, tmp_path: Path
    ) -> None:
        hostile = shutil.copytree(package, tmp_path / "hostile")
        (hostile / "weights.bin").write_bytes(b"\x80\x04\x95\x00.")
        with pytest.raises(PlatformError, match=r"weights\.bin is a pickle, but a model package holds none"):
            registry.register("late", hostile, {})
        assert registry.versions("late") == []

    def test_fetching_an_absent_version_is_not_found(self, registry: ModelRegistry, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="version 1 of model late"):
            registry.fetch("late", 1, tmp_path / "fetched")


def _found(registry: ModelRegistry, reference: str) -> ModelVersion:
    version = registry.version("late", reference)
    assert version is not None
    return version
