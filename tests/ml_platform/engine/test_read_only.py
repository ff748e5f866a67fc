from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ml_platform.binding import ROLES, class_name
from ml_platform.engine.intent import Intended, planning
from ml_platform.engine.package import digest
from ml_platform.engine.read_only import READS, ReadOnly
from ml_platform.records.endpoint import EndpointSpec, Revision, ServiceBinding, TrafficSplit
from ml_platform.watching import retrain_is_running

NOBODY = ServiceBinding("nowhere", "Nobody")


class Recorder:
    """A service that records what it is asked, whatever that is."""

    def __init__(self, serves: Revision | None = None) -> None:
        self.asked: list[str] = []
        self._serves = serves

    def describe(self, name: str) -> Revision | None:
        self.asked.append("describe")
        return self._serves

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self.asked.append(name)


def _methods(role: str) -> list[str]:
    protocol = getattr(import_module(f"ml_platform.roles.{role}"), class_name("", role))
    return [name for name, it in vars(protocol).items() if not name.startswith("_") and callable(it)]


@pytest.mark.parametrize("role", ROLES)
def test_of_every_role_only_what_reads_reaches_the_service(role: str) -> None:
    service = Recorder()
    guarded = ReadOnly(role, service)
    written = []
    for method in _methods(role):
        with planning():
            try:
                getattr(guarded, method)(EndpointSpec("x", {}, TrafficSplit({}), {}, (), NOBODY, NOBODY))
            except Intended:
                written.append(method)
    assert set(service.asked) <= READS.get(role, frozenset())
    assert set(written) == set(_methods(role)) - READS.get(role, frozenset())


def test_a_plan_may_ask_whether_a_retrain_is_on_its_way() -> None:
    instance: Any = ReadOnly("instance", Recorder())
    with planning():
        assert not retrain_is_running(instance, "models/returns")


def test_it_is_known_wherever_its_service_is() -> None:
    service = Recorder()
    assert {service: "known"}[ReadOnly("lakehouse", service)] == "known"  # type: ignore[index] # on purpose
    assert ReadOnly("lakehouse", service) == ReadOnly("lakehouse", service)


@pytest.fixture
def spec(tmp_path: Path) -> EndpointSpec:
    (tmp_path / "model.json").write_text("{}")
    return EndpointSpec("returns", {2: str(tmp_path)}, TrafficSplit({2: 1.0}), {}, (), NOBODY, NOBODY)


def test_an_endpoint_that_serves_what_is_asked_for_is_left(spec: EndpointSpec) -> None:
    serves = Revision("returns", 4, spec.split, {2: digest(Path(spec.packages[2]))}, "http://x", ready=True)
    host: Any = ReadOnly("endpoint_host", Recorder(serves))
    assert host.deploy(spec) == serves


def test_an_endpoint_that_would_be_replaced_is_named_with_what_it_serves(spec: EndpointSpec) -> None:
    serves = Revision("returns", 4, TrafficSplit({1: 1.0}), {1: "other"}, "http://x", ready=True)
    service = Recorder(serves)
    host: Any = ReadOnly("endpoint_host", service)
    with pytest.raises(Intended, match="revision 4, which serves version 1, is replaced by version 2") as stopped:
        host.deploy(spec)
    assert stopped.value.effect == "change"
    assert service.asked == ["describe"]
    with pytest.raises(Intended, match="version 2 is to be served"):
        ReadOnly("endpoint_host", Recorder()).deploy(replace(spec))
