"""The shop's model on its way from one environment to the next: as an artefact by digest, and as code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest

from ml_platform.metadata import OUTCOME, UNCHANGED
from ml_platform.records.model import ModelVersion
from ml_platform.testing import shop
from ml_platform.testing.cloud_slice import shop_in
from ml_platform.testing.project import Project, Ran
from resources.databricks.testing import cloud as databricks

DECLARED = "models/returns/defs.yaml"
MODEL, CHAMPION = "models/returns", "models/returns__champion"


@dataclass(frozen=True)
class Environment:
    """The shop in one environment, and how a process is in it."""

    project: Project
    name: str
    variables: Mapping[str, str]

    def run(self, select: str = f'key:"{MODEL}" or key:"{CHAMPION}"', partitions: str = "") -> Ran:
        """What becomes of a run in a process that is in the environment."""
        with variables_of(self.variables):
            return self.project.run(select, partitions)

    @property
    def rows(self) -> int:
        """The version at which its training set stands."""
        with variables_of(self.variables):
            return self.project.version("training_sets/returns")

    def version(self, reference: str) -> ModelVersion | None:
        with variables_of(self.variables):
            found: ModelVersion | None = self.project.service("model_registry").version("returns", reference)
            return found


@contextmanager
def variables_of(variables: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


class PromotionContract:
    """What holds whichever services play the roles."""

    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls) -> Iterator[Mapping[str, str]]:
        """By which services are bound."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def environments(
        cls, variables: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Environment, Environment, Environment]:
        """Development, staging and production, up to their training sets; each takes its model from the one before."""
        base, unique = tmp_path_factory.mktemp("environments"), uuid4().hex[:6]
        dev, staging, prod = f"dev-{unique}", f"staging-{unique}", f"prod-{unique}"
        made = []
        for name in (dev, staging, prod):
            own = {**variables, "ML_PLATFORM_HOME": str(base / "home"), "ML_PLATFORM_ENV": name}
            with variables_of(own):
                project = shop_in(base, name, variables)
            style = f"promotion: {{style: artefact, from: {{{prod}: {staging}, {staging}: {dev}}}}}"
            project.change(DECLARED, "task: binary", f"task: binary\n  {style}")
            # What knows nothing of an order, so that there is a better one to come.
            project.change(DECLARED, "estimator: linear", "estimator: baseline")
            made.append(Environment(project, name, own))
            ran = made[-1].run('+key:"training_sets/returns"', shop.EVERYTHING)
            assert ran.success, ran.failures
        return made[0], made[1], made[2]

    def test_the_artefact_goes_by_digest_and_is_examined_anew(
        self, environments: tuple[Environment, Environment, Environment]
    ) -> None:
        dev, staging, prod = environments
        # given nothing to take yet
        early = prod.run()
        assert not early.success
        assert f"no champion in {staging.name}, but {prod.name} takes it from there" in early.failures[MODEL]
        # when a model is promoted where it is fitted, its very bytes are the candidate on both stages of its way
        fitted = dev.run()
        assert fitted.said[MODEL][OUTCOME] == "fitted as version 1"
        between = staging.run()
        assert between.said[MODEL][OUTCOME] == f"taken from {dev.name} as version 1"
        assert between.data_versions[MODEL] == fitted.data_versions[MODEL]
        taken = prod.run()
        assert taken.success, taken.failures
        assert taken.said[MODEL][OUTCOME] == f"taken from {staging.name} as version 1"
        assert taken.data_versions[MODEL] == fitted.data_versions[MODEL]
        # and this environment's gate has examined it on this environment's rows
        assert taken.said[CHAMPION][OUTCOME] == "version 1 promoted"
        champion = prod.version("champion")
        there = staging.version("champion")
        assert champion.digest == there.digest
        evidence, origin = json.loads(champion.tags["gate"]), json.loads(champion.tags["taken"])
        assert evidence["snapshot"]["version"] == prod.rows
        assert evidence["candidate"] == {"number": 1, "digest": there.digest}
        assert (origin["environment"], origin["number"], origin["digest"]) == (staging.name, 1, there.digest)
        assert origin["reasons"] == json.loads(there.tags["gate"])["decision"]["reasons"]
        # and a second time nothing is taken, nor examined
        again = prod.run()
        assert [again.said[key][OUTCOME] for key in (MODEL, CHAMPION)] == [UNCHANGED, UNCHANGED]
        assert prod.version("2") is None

    def test_code_is_fitted_where_it_goes_and_passes_the_gate_there(
        self, environments: tuple[Environment, Environment, Environment]
    ) -> None:
        *_, prod = environments
        style = (prod.project.root / DECLARED).read_text().partition("promotion: ")[2].splitlines()[0]
        prod.project.change(DECLARED, f"promotion: {style}", "promotion: {style: code}")
        fitted = prod.run()
        assert fitted.success, fitted.failures
        assert fitted.said[MODEL][OUTCOME].startswith("fitted as version ")
        version = prod.version("challenger")
        assert "taken" not in version.tags
        pin = json.loads(version.tags["training_set"])
        assert pin["version"] == prod.rows
        # the same code on the same rows is the same model, which is no better than itself: the one that stands stays
        evidence = json.loads(version.tags["gate"])
        assert evidence["candidate"]["number"] == version.number
        assert evidence["snapshot"]["version"] == prod.rows
        assert evidence["decision"]["promoted"] is False
        gate = next(check for check in fitted.checks[CHAMPION] if check.check_name == "gate")
        assert (gate.passed, prod.version("champion").number) == (False, 1)

    def test_better_code_is_promoted_where_it_goes_by_the_gate_there(
        self, environments: tuple[Environment, Environment, Environment]
    ) -> None:
        dev, _, prod = environments
        # given the champion that came as an artefact, and code that learns more from the same rows
        prod.project.change(DECLARED, "estimator: baseline", "estimator: linear")
        ran = prod.run()
        assert ran.success, ran.failures
        # then it is fitted on this environment's rows, examined on them beside that champion, and promoted
        version = prod.version("challenger")
        assert ran.said[MODEL][OUTCOME] == f"fitted as version {version.number}"
        assert ran.said[CHAMPION][OUTCOME] == f"version {version.number} promoted"
        evidence, (*_, move) = json.loads(version.tags["gate"]), json.loads(version.tags["promotions"])
        assert json.loads(version.tags["training_set"])["version"] == evidence["snapshot"]["version"] == prod.rows
        assert (evidence["champion"]["number"], evidence["decision"]["promoted"]) == (1, True)
        assert evidence["decision"]["improvement"]["low"] > 0
        assert (move["number"], move["was"], move["by"]) == (version.number, 1, "gate")
        assert prod.version("champion").digest == version.digest
        # and where it came from, nothing has moved
        assert dev.version("champion").number == 1


class TestPromotionBetweenEmbeddedEnvironments(PromotionContract):
    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls) -> Mapping[str, str]:
        return {"ML_PLATFORM_PROFILE": "local"}


class TestPromotionBetweenDatabricksEnvironments(PromotionContract):
    @pytest.fixture(scope="class")
    @classmethod
    def variables(cls) -> Iterator[Mapping[str, str]]:
        with databricks.cloud() as cloud:
            # The registry is all that a promotion goes through; runs of the whole profile are cloud_slice.py's.
            account = {name: value for name, value in cloud.environment.items() if "__POLL_SECONDS" not in name}
            registry = {
                "": "databricks",
                "__CATALOG": "${ML_PLATFORM_DATABRICKS_CATALOG}",
                "__PREFIX": "${ML_PLATFORM_ENV}",
            }
            own = {f"ML_PLATFORM_MODEL_REGISTRY{name}": value for name, value in registry.items()}
            yield {**account, **own, "ML_PLATFORM_PROFILE": "local"}
