from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from accounts import stand_ins_only
from aws_hosts import host_in

from ml_platform.errors import RefusedError, ServiceError, TransientServiceError
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.records.job import Needs
from ml_platform.testing.stand_in import Cloud
from resources.aws.component import Component, Group, Part, _requirements
from resources.aws.control_plane import ControlPlane
from resources.aws.hosted_endpoint import HostedEndpoint, Machine


@pytest.mark.parametrize(
    ("needs", "asked"),
    [
        (Needs(0.5, 1), {"NumberOfCpuCoresRequired": 0.5, "MinMemoryRequiredInMb": 1024}),
        (Needs(0.1, 0.1), {"NumberOfCpuCoresRequired": 0.25, "MinMemoryRequiredInMb": 128}),
        (
            Needs(2, 4, "a10g"),
            {
                "NumberOfCpuCoresRequired": 2,
                "MinMemoryRequiredInMb": 4096,
                "NumberOfAcceleratorDevicesRequired": 1,
            },
        ),
    ],
)
def test_needs_are_a_part_of_a_machine(needs: Needs, asked: dict[str, float]) -> None:
    assert _requirements(needs) == asked


@pytest.fixture
def plane(place: dict[str, str]) -> ControlPlane:
    return ControlPlane(place["prefix"], place["region"], 0.1, 60)


@pytest.fixture
def group(plane: ControlPlane) -> Iterator[Group]:
    group = Group(f"{plane.prefix}-group-x", plane)
    yield group
    group.delete_if_empty()
    assert HostedEndpoint(group.name, plane).described() is None


@pytest.fixture
def machine(place: dict[str, str], spec: EndpointSpec) -> Machine:
    return host_in(place)._machine(spec)


@stand_ins_only("aws")
def test_a_group_that_failed_is_made_anew_and_keeps_its_machines(
    group: Group, machine: Machine, cloud: Cloud, plane: ControlPlane
) -> None:
    cloud.inject("unhealthy", 1)
    with pytest.raises(ServiceError, match="is to be in service, but is not: The primary container"):
        group.stand(machine, 2)
    assert group.stand(machine, 2) == "ml.m5.large"
    assert group.stand(Machine(machine.image, machine.role, "ml.m5.xlarge"), 2) == "ml.m5.large"


@stand_ins_only("aws")
def test_a_component_that_failed_and_was_left_is_made_anew(
    group: Group, machine: Machine, cloud: Cloud, plane: ControlPlane, place: dict[str, str], spec: EndpointSpec
) -> None:
    # given a creation that failed after its caller had died
    bundle = host_in(place)._revisions.upload("late", 1, {"all": replace(spec, lookup="caller")})["all"]
    component = Component(f"{plane.prefix}-late", plane)
    group.stand(machine, 2)
    cloud.inject("unhealthy", 1)
    component._create_model(1, Part(bundle, Needs(0.5, 1)), machine)
    component._begin(1, Part(bundle, Needs(0.5, 1)), group.name, None)
    failed = component.settled()
    assert failed is not None
    assert failed["InferenceComponentStatus"] == "Failed"
    # then the next change makes it anew
    component.change(2, Part(bundle, Needs(0.5, 1)), group.name, machine)
    found = component.described()
    assert found is not None
    assert (found["InferenceComponentStatus"], component.number(found)) == ("InService", 2)
    component.delete()
    assert component.described() is None
    HostedEndpoint(component.name, plane).keep(())


@stand_ins_only("aws")
@pytest.mark.parametrize("fault", [TransientServiceError("it is throttled"), RefusedError("it may not")])
def test_an_outage_takes_nothing_from_a_component_that_failed_and_answers(
    group: Group,
    machine: Machine,
    cloud: Cloud,
    plane: ControlPlane,
    place: dict[str, str],
    spec: EndpointSpec,
    monkeypatch: pytest.MonkeyPatch,
    fault: ServiceError,
) -> None:
    bundle = host_in(place)._revisions.upload("late", 1, {"all": replace(spec, lookup="caller")})["all"]
    component, part = Component(f"{plane.prefix}-late", plane), Part(bundle, Needs(0.5, 1))
    group.stand(machine, 2)
    component.change(1, part, group.name, machine)
    cloud.inject("update_failed", 1)
    with pytest.raises(ServiceError, match="is Failed, but was to serve model 2"):
        component.change(2, part, group.name, machine)

    def refuses(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(plane, "update", refuses)
    with pytest.raises(ServiceError, match=str(fault)):
        component.change(3, part, group.name, machine)
    found = component.described()
    assert found is not None
    assert (found["InferenceComponentStatus"], component.number(found)) == ("Failed", 1)
    component.delete()
    HostedEndpoint(component.name, plane).keep(())
