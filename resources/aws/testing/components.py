"""Inference components: the containers that share the machines of one endpoint, their states, and their capacity.

From SageMaker's documentation: the calls and their fields, that an update starts the new copy beside the old, that a
component's copy is placed on one machine, and that an endpoint goes only after its components. Chosen here, for it is
written nowhere: the words of refusals, that the old copy counts until the new one is healthy, and that a component
which failed takes no update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import Any

from resources.aws.instances import DEFAULT
from resources.aws.testing.account import LISTED, Account, offered, page
from resources.aws.testing.declared import Declared
from resources.aws.testing.endpoints import Endpoints
from resources.aws.testing.servers import Server, ended, started
from resources.aws.testing.service_model import Refusal

_NOUN = "InferenceComponent"
_TAKEN = ("InferenceComponentName", "EndpointName", "VariantName", "Specification", "RuntimeConfig", "Tags")
_SETTLED = ("InService", "Failed")


@dataclass
class Component:
    """One component. specification: by which it serves, or was to come up."""

    name: str
    arn: str
    endpoint: str
    variant: str
    specification: Mapping[str, Any]
    created: datetime
    modified: datetime
    status: str = "Creating"
    reason: str = ""
    server: Server | None = None
    place: object = None


@dataclass(frozen=True)
class Part:
    """What a copy takes of one machine: cores, MiB and accelerator devices."""

    cpu: float
    mib: float
    devices: float = 0

    @classmethod
    def asked(cls, specification: Mapping[str, Any]) -> Part:
        """What a specification asks for."""
        asked = specification["ComputeResourceRequirements"]
        devices = asked.get("NumberOfAcceleratorDevicesRequired", 0)
        return cls(asked.get("NumberOfCpuCoresRequired", 0), asked["MinMemoryRequiredInMb"], devices)

    def fits(self, beside: Sequence[Part], machine: Mapping[str, Any]) -> bool:
        """Whether a machine holds it beside others."""
        every = [self, *beside]
        return (
            sum(one.cpu for one in every) <= machine["cpu"]
            and sum(one.mib for one in every) <= machine["memory_gib"] * 1024
            and sum(one.devices for one in every) <= int("accelerator" in machine)
        )


class Components:
    """The components; an update leaves the old container answering until the new one is healthy beside it."""

    def __init__(self, account: Account, models: Declared, endpoints: Endpoints) -> None:
        self._account, self._models, self._endpoints = account, models, endpoints
        self._components: dict[str, Component] = {}
        # Of each copy: its endpoint, the number of the machine that it is on, and what it takes of that.
        self._places: dict[object, tuple[str, int, Part]] = {}

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being created on its endpoint's variant."""
        offered(request, *_TAKEN)
        name, endpoint, variant = (request[key] for key in ("InferenceComponentName", "EndpointName", "VariantName"))
        arn = self._account.arn("inference-component", name)
        if name in self._components:
            raise Refusal("ValidationException", f'Cannot create already existing inference component "{arn}".')
        self._models.found(request["Specification"])
        self._endpoints.machines(endpoint, variant)
        self._account.tag(arn, request.get("Tags", []))
        now = datetime.now(UTC)
        component = Component(name, arn, endpoint, variant, request["Specification"], now, now)
        self._components[name] = component
        Thread(target=self._bring, args=(component, request["Specification"]), daemon=True).start()
        return {"InferenceComponentArn": arn}

    def update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being updated."""
        offered(request, "InferenceComponentName", "Specification")
        component = self._settled(request, "update")
        self._models.found(request["Specification"])
        component.status = "Updating"
        Thread(target=self._bring, args=(component, request["Specification"]), daemon=True).start()
        return {"InferenceComponentArn": component.arn}

    def delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being deleted."""
        component = self._settled(request, "delete")
        component.status = "Deleting"
        Thread(target=self._delete, args=(component,), daemon=True).start()
        return {}

    def describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """How it stands, and what it serves."""
        component = self._found(request)
        summary = self._summary(component)
        reason = {"FailureReason": component.reason} if component.reason else {}
        return {**summary, "Specification": component.specification, **reason}

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the request asks for."""
        offered(request, *LISTED, "EndpointNameEquals")
        of = request.get("EndpointNameEquals")
        every = [self._summary(one) for one in self._components.values() if of in (None, one.endpoint)]
        found, more = page(every, request, _NOUN)
        return {f"{_NOUN}s": found, **more}

    def server(self, endpoint: str, name: str) -> Server:
        """The container that an invocation goes to. Raises Refusal where there is none."""
        component = self._components.get(name)
        if component is None or component.endpoint != endpoint or component.server is None:
            raise Refusal("ValidationError", f"Inference Component Name header {name} is not found.")
        return component.server

    def on(self, endpoint: str) -> bool:
        """Whether any component stands on the endpoint."""
        return any(one.endpoint == endpoint for one in self._components.values())

    def end(self) -> None:
        """No container of a component runs."""
        ended([one.server for one in self._components.values() if one.server])

    def _bring(self, component: Component, specification: Mapping[str, Any]) -> None:
        before, place = component.server, None
        try:
            place = self._placed(component, specification)
            if self._account.faults.take("update_failed"):
                self._places.pop(place)
                self._become(component, "Failed", "The update failed, and so did rolling it back.")
                return
            if self._account.faults.take("rolled_back"):
                raise RuntimeError("The update was rolled back.")
            variants = [{"VariantName": component.variant, "ModelName": specification["ModelName"]}]
            group = f"/aws/sagemaker/InferenceComponents/{component.name}"
            (server,) = started(self._account, group, variants, self._models.requests)
        except Exception as error:
            self._places.pop(place, None)
            self._become(component, "InService" if before else "Failed", str(error))
            return
        with self._account.lock:
            self._places.pop(component.place, None)
            component.server, component.specification, component.place = server, specification, place
        ended([before] if before else [])
        self._become(component, "InService")

    def _placed(self, component: Component, specification: Mapping[str, Any]) -> object:
        """The copy has room on one machine, beside what runs there, its old self too. Raises RuntimeError otherwise."""
        kind, most = self._endpoints.machines(component.endpoint, component.variant)
        machine, part, place = next(one for one in DEFAULT if one["type"] == kind), Part.asked(specification), object()
        with self._account.lock:
            taken = [(at, other) for endpoint, at, other in self._places.values() if endpoint == component.endpoint]
            for number in range(most):
                if part.fits([other for at, other in taken if at == number], machine):
                    self._places[place] = (component.endpoint, number, part)
                    return place
        raise RuntimeError(
            "The inference component could not be placed: no instance of the variant has the compute resources that it "
            "requires left. Lower its requirements, or raise MaxInstanceCount."
        )

    def _delete(self, component: Component) -> None:
        ended([component.server] if component.server else [])
        with self._account.lock:
            self._account.forget(component.arn)
            self._places.pop(component.place, None)
            del self._components[component.name]

    def _become(self, component: Component, status: str, reason: str = "") -> None:
        with self._account.lock:
            component.status, component.reason, component.modified = status, reason[:1024], datetime.now(UTC)

    def _summary(self, component: Component) -> dict[str, Any]:
        return {
            "InferenceComponentName": component.name,
            "InferenceComponentArn": component.arn,
            "EndpointName": component.endpoint,
            "EndpointArn": self._account.arn("endpoint", component.endpoint),
            "VariantName": component.variant,
            "CreationTime": component.created,
            "LastModifiedTime": component.modified,
            "InferenceComponentStatus": component.status,
        }

    def _found(self, request: Mapping[str, Any]) -> Component:
        name = request["InferenceComponentName"]
        if name not in self._components:
            arn = self._account.arn("inference-component", name)
            raise Refusal("ValidationException", f'Could not find inference component "{arn}".')
        return self._components[name]

    def _settled(self, request: Mapping[str, Any], what: str) -> Component:
        component = self._found(request)
        if component.status not in _SETTLED or (what == "update" and component.status == "Failed"):
            raise Refusal("ValidationException", f'Cannot {what} in-progress inference component "{component.arn}".')
        return component
