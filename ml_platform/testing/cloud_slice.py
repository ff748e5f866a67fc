"""The whole shop on one cloud, from its files to a logged prediction, as a contract that every profile keeps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.metadata import OUTCOME, UNCHANGED
from ml_platform.planning import Asked, plan
from ml_platform.records.feature import FeatureView
from ml_platform.records.table import Location
from ml_platform.testing import shop
from ml_platform.testing.project import Project, Ran, services_of
from ml_platform.testing.stand_in import Cloud

_UP_TO_THE_MODEL = '+key:"models/returns__champion"'
_LOG = 'key:"endpoints/returns__log"'
_MOMENT = "2024-04-20T00:00:00+00:00"
_VIEW = FeatureView("order_v1", ("order_id",), ("amount", "store"), 24)
_LEAST_FILES = 100  # that a run of everything keeps; fewer were not all of them


@dataclass(frozen=True)
class Shops:
    """Two environments of one account. dev: after two runs of everything; prod: nothing was made in it yet."""

    dev: Project
    prod: Project
    dev_name: str
    first: Ran
    again: Ran
    cloud: Cloud


class CloudSliceContract:
    """What a profile keeps. Inherit it, say the `profile`, and have a fixture `cloud` for the class.

    `cloud` has parameters, of which `stand-in` is one.
    """

    profile: str

    @pytest.fixture(scope="class")
    @classmethod
    def shops(cls, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
        """The shop in two environments, the endpoint of the first serving."""
        variables = {**cloud.environment, "ML_PLATFORM_PROFILE": cls.profile}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in cloud.environment.items():
                patch.setenv(name, value)
            unique = uuid4().hex[:6]
            names = [f"{name}-{unique}" for name in ("dev-1", "prod")]
            base = tmp_path_factory.mktemp("shops")
            dev, prod = (shop_in(base, name, variables) for name in names)
            first = dev.run("*", shop.EVERYTHING)
            assert first.success, first.failures
            again = dev.run("*", shop.EVERYTHING)
            assert again.success, again.failures
            yield Shops(dev, prod, names[0], first, again, cloud)
            for project in (dev, prod):
                project.service("endpoint_host").retire("returns")

    @pytest.fixture(autouse=True)
    def found(self, shops: Shops, scratch_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cloud's variables stand in this process."""
        for name, value in shops.cloud.environment.items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def scratch_home(self, tmp_path: Path) -> Path:
        """Whatever the suite does to the environment before a test is to come before `found`."""
        return tmp_path

    def test_everything_is_made_and_nothing_a_second_time(self, shops: Shops) -> None:
        assert len(shops.dev.rows("silver/orders")) == len(shop.MONTHS) * shop.ORDERS_A_MONTH
        assert len(shops.dev.rows("predictions/returns")) == shop.ORDERS_A_MONTH
        outcomes = {key: said.get(OUTCOME) for key, said in shops.again.said.items()}
        assert outcomes == dict.fromkeys(shops.first.said, UNCHANGED)

    # An account does not show all that it keeps.
    @pytest.mark.parametrize("cloud", ["stand-in"], indirect=True)
    def test_a_plan_of_it_leaves_all_of_it_and_writes_to_no_store(self, shops: Shops) -> None:
        # what a stand-in keeps in folders is its own: whom it answered
        stores = [store for store in shops.cloud.stores if "://" in store.uri]
        stores.append(Location("", str(shops.dev.root.parent.parent / "home" / shops.dev_name)))
        before = {where: content for store in stores for where, content in contents(store)}
        graph = shops.dev.definitions.resolve_asset_graph()
        services = {role: shops.dev.service(role) for role in shops.dev.services}
        keys = frozenset(graph.get_all_asset_keys())
        steps = list(plan(Asked(graph, keys, shop.MONTHS, services, shops.dev.instance)))
        assert {step.key: step.effect for step in steps} == dict.fromkeys(shops.first.said, "leave")
        after = {where: content for store in stores for where, content in contents(store)}
        assert [where for where in {**before, **after} if before.get(where) != after.get(where)] == []

    def test_the_champion_is_as_good_as_the_embedded_one(self, shops: Shops, tmp_path: Path) -> None:
        embedded = shop.project(tmp_path)
        ran = embedded.run(_UP_TO_THE_MODEL, shop.EVERYTHING)
        assert ran.success, ran.failures
        expected = _metrics(ran)
        assert expected
        assert _metrics(shops.first) == expected

    def test_an_answer_is_that_of_the_batch_and_stands_in_the_log(self, shops: Shops) -> None:
        host = shops.dev.service("endpoint_host")
        batch = {row["order_id"]: row for row in shops.dev.rows("predictions/returns")}
        order = batch["2024-04-055"]
        answer = host.invoke("returns", _request(order["order_id"], order["event_time"].isoformat()))
        assert answer["outputs"][0]["data"] == [pytest.approx(order["prediction"], abs=1e-9)]
        assert shops.dev.run(_LOG).success
        (logged,) = [
            row
            for row in shops.dev.rows("endpoints/returns__log")
            if row["request_id"] in answer["parameters"]["request_ids"]
        ]
        assert logged["model_version"] == order["model_version"]
        assert '"amount"' in logged["features"]
        assert '"order_v1"' in logged["views"]

    def test_environments_do_not_see_each_other(self, shops: Shops) -> None:
        dev, prod = shops.dev, shops.prod
        assert delta.snapshot(prod.lakehouse.table("silver/orders")) is None
        assert prod.service("model_registry").versions("returns") == []
        assert prod.service("endpoint_host").describe("returns") is None
        assert prod.service("prediction_log").since("returns", 0, 10)[0] == []
        assert prod.service("feature_store").published(_VIEW) is None
        before = _standing(dev)

        ran = prod.run("+" + 'key:"endpoints/returns"', shop.EVERYTHING)
        assert ran.success, ran.failures
        assert all(before.values())
        mine = _standing(prod)
        assert mine["endpoint"].digests == before["endpoint"].digests
        # Both have a version 1 that is theirs: what is recorded of one is not of the other.
        assert [version.number for version in mine["versions"]] == [1]
        prod.service("model_registry").record("returns", 1, {"seen": "in prod"})
        prod.service("endpoint_host").retire("returns")

        assert prod.service("endpoint_host").describe("returns") is None
        assert prod.service("model_registry").versions("returns")[0].tags["seen"] == "in prod"
        assert _standing(dev) == before
        again = dev.run('key:"training_sets/returns"', shop.EVERYTHING)
        assert again.said["training_sets/returns"][OUTCOME] == UNCHANGED
        assert dev.service("endpoint_host").invoke("returns", _request("2024-04-055", _MOMENT))["outputs"]

    # An account does not show all that it keeps.
    @pytest.mark.parametrize("cloud", ["stand-in"], indirect=True)
    def test_nothing_secret_is_in_what_is_kept_or_shown(self, shops: Shops) -> None:
        canaries = [secret.encode() for secret in shops.cloud.secrets]
        assert canaries
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            location = serialize_value(RepositorySnap.from_def(shops.dev.definitions.get_repository_def()))
        # What the profile says is in what the UI is given: a secret in it would be found here.
        assert shops.dev_name in location
        stores = [Location("", str(shops.dev.root.parent.parent)), *shops.cloud.stores]
        kept = [item for store in stores for item in contents(store)]
        assert len(kept) > _LEAST_FILES
        everything = [("the UI", location.encode()), *kept]
        assert not holding(canaries, everything)
        # A secret that got into a store or onto this machine's disk would be found: here is one.
        planted = f"{shops.dev_name}-canary".encode()
        for store in stores:
            put(filesystem(store), "planted", planted)
        assert len(holding([planted], [item for store in stores for item in contents(store)])) == len(stores)
        for store in stores:
            filesystem(store).delete_file("planted")


def shop_in(base: Path, environment: str, variables: Mapping[str, str]) -> Project:
    """The shop in an environment, its files landed; what services keep here is in one home, as of one person.

    base: the folder of all its environments. variables: by which its services are bound.
    """
    project = Project(base / environment, shop.FILES, environment, keeps=True)
    own = {"ML_PLATFORM_HOME": str(base / "home"), "ML_PLATFORM_ENV": environment}
    project.services = services_of({**variables, **own})
    shop.land(project.lakehouse)
    return project


def _standing(project: Project) -> dict[str, Any]:
    """What stands in an environment, as each of its services says."""
    return {
        "tables": {key: project.version(key) for key in ("bronze/orders", "silver/orders", "training_sets/returns")},
        "versions": project.service("model_registry").versions("returns"),
        "endpoint": project.service("endpoint_host").describe("returns"),
        "online": project.service("feature_store").published(_VIEW),
    }


def _request(order: str, moment: str) -> dict[str, Any]:
    columns = {"order_id": order, "event_time": moment}
    return {"inputs": [{"name": name, "shape": [1], "datatype": "BYTES", "data": [it]} for name, it in columns.items()]}


def _metrics(ran: Ran) -> dict[str, Any]:
    said = ran.said["models/returns"]
    return {name: value for name, value in said.items() if name.startswith(("train_", "validate_", "test_"))}


def holding(canaries: Sequence[bytes], everything: Sequence[tuple[str, bytes]]) -> list[str]:
    """Where any of the canaries is."""
    return [where for where, content in everything if any(canary in content for canary in canaries)]


def contents(store: Location) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder, every object of a store: where it is, what it holds.

    The stand-ins' own code is left out: it is copied with the platform's, and says what their secrets are.
    """
    from pyarrow.fs import FileSelector, FileType

    files = filesystem(store)
    for info in files.get_file_info(FileSelector("", recursive=True)):
        if info.type == FileType.File and "/testing/" not in info.path:
            with files.open_input_stream(info.path) as stream:
                yield f"{store.uri}/{info.path}", stream.read()
