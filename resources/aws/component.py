"""An inference component of SageMaker: an endpoint of ours that shares machines with the others of its group.

A group is one endpoint of SageMaker with one variant and no model of its own; each of its components is placed on that
variant's machines, asks for a part of one, and is invoked by its name. Its container holds all versions and splits the
traffic itself, by the request's key.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import NotFoundError, PlatformError, RefusedError, ServiceError, TransientServiceError
from ml_platform.records.job import Needs
from resources.aws.control_plane import ControlPlane
from resources.aws.hosted_endpoint import HostedEndpoint, Machine

NOUN = "InferenceComponent"
_VARIANT = "group"
_LEAST_CPU, _LEAST_MIB = 0.25, 128  # that a component may ask for


@dataclass(frozen=True)
class Part:
    """What a component is made of. source: S3 URI of its bundle; needs: its part of a machine."""

    source: str
    needs: Needs


class Group:
    """The endpoint that components share.

    name: in SageMaker.
    """

    def __init__(self, name: str, plane: ControlPlane) -> None:
        self.name, self._plane = name, plane
        self._hosted = HostedEndpoint(name, plane)

    def stand(self, machine: Machine, most: int) -> str:
        """The type of its machines, once it is in service: the given one where it is new.

        most: machines that it may grow to, where its components ask for more than one has.
        Raises ServiceError where it does not come up, and where its name is somebody else's.
        """
        found = self._hosted.settled()
        if found and found["EndpointStatus"] == "Failed":
            self._hosted.delete()
            found = None
        if found is None:
            self._create(machine, most)
            found = self._hosted.settled()
        if not found or found["EndpointStatus"] != "InService":
            why = (found or {}).get("FailureReason", "SageMaker gives no reason")
            raise ServiceError(f"the group's endpoint {self.name} is to be in service, but is not: {why}")
        config = self._plane.call("describe_endpoint_config", EndpointConfigName=found["EndpointConfigName"])
        return str(config["ProductionVariants"][0]["InstanceType"])

    def stands(self) -> bool:
        """Whether it is there, and not about to go."""
        found = self._hosted.described()
        return bool(found) and (found or {})["EndpointStatus"] != "Deleting"

    def delete_if_empty(self) -> None:
        """It is gone, unless a component is left on it."""
        if not self._plane.names("list_inference_components", NOUN, EndpointNameEquals=self.name):
            self._hosted.delete()

    def _create(self, machine: Machine, most: int) -> None:
        scaling = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": most}
        variant = {
            "VariantName": _VARIANT,
            "InstanceType": machine.instance,
            "InitialInstanceCount": 1,
            "ManagedInstanceScaling": scaling,
        }
        config = f"{self.name}-1"
        self._plane.create(
            "endpoint_config", EndpointConfigName=config, ProductionVariants=[variant], ExecutionRoleArn=machine.role
        )
        self._plane.create("endpoint", EndpointName=self.name, EndpointConfigName=config)


class Component:
    """The component of one endpoint; models are named `<name>-<number>`. name: in SageMaker."""

    def __init__(self, name: str, plane: ControlPlane) -> None:
        self.name, self._plane = name, plane

    def described(self) -> dict[str, Any] | None:
        """What SageMaker says of it; None where there is none. Raises ServiceError where it is not ours."""
        return self._plane.ours("describe_inference_component", NOUN, self.name)

    def settled(self) -> dict[str, Any] | None:
        """The same, once it is not being changed. Raises ServiceError where that takes too long."""
        return self._plane.settled(self.described, NOUN)

    def number(self, found: Mapping[str, Any]) -> int:
        """The number of the model that it runs."""
        return int(found["Specification"]["ModelName"].removeprefix(f"{self.name}-"))

    def change(self, number: int, part: Part, group: str, machine: Machine) -> None:
        """It is in service on the group's endpoint by the model of that number.

        Raises ServiceError with the words of SageMaker and of the container where it is not; what served before serves,
        and what was made for this is gone. An interrupted change goes on; whoever deploys next takes it up.
        """
        before = self.settled()
        begun, created = time.time(), before is None
        try:
            self._create_model(number, part, machine)
            created = self._begin(number, part, group, before)
            found = self.settled()
            if not found or found["InferenceComponentStatus"] != "InService" or self.number(found) != number:
                raise self._failed(number, found or {}, group, begun)
        except PlatformError as error:
            self._undo(number, error, created=created)
            raise

    def delete(self) -> None:
        """Nothing of it stands, but for models, and nothing of a group that it leaves empty."""
        found = self.settled()
        if found:
            self._delete()
            Group(str(found["EndpointName"]), self._plane).delete_if_empty()

    def _create_model(self, number: int, part: Part, machine: Machine) -> None:
        source = {"S3Uri": part.source, "S3DataType": "S3Prefix", "CompressionType": "None"}
        self._plane.create(
            "model",
            ModelName=f"{self.name}-{number}",
            PrimaryContainer={"Image": machine.image, "ModelDataSource": {"S3DataSource": source}},
            ExecutionRoleArn=machine.role,
        )

    def _begin(self, number: int, part: Part, group: str, before: Mapping[str, Any] | None) -> bool:
        """SageMaker brings it to the model; what comes of it is to be read back. Returns whether it is new.

        before: how it stands. One that failed is updated where SageMaker lets it be, for its last model may serve
        still, and made anew where it does not.
        """
        specification = {
            "ModelName": f"{self.name}-{number}",
            "ComputeResourceRequirements": _requirements(part.needs),
        }
        if before:
            try:
                request = {"InferenceComponentName": self.name, "Specification": specification}
                self._plane.update(self.described, NOUN, "update_inference_component", **request)
                return False
            except ServiceError as error:
                # An outage, or a permission that is not there, says nothing of the component.
                says_nothing = isinstance(error, TransientServiceError | RefusedError)
                if says_nothing or before["InferenceComponentStatus"] != "Failed":
                    raise
            self._delete()
        self._plane.create(
            "inference_component",
            InferenceComponentName=self.name,
            EndpointName=group,
            VariantName=_VARIANT,
            Specification=specification,
            RuntimeConfig={"CopyCount": 1},
        )
        return True

    def _failed(self, number: int, found: Mapping[str, Any], group: str, begun: float) -> ServiceError:
        """Why the change did not come about."""
        status = found.get("InferenceComponentStatus", "gone")
        reason = found.get("FailureReason", "SageMaker gives no reason")
        if status == "InService":
            status = f"back at model {self.number(found)}"
        words = self._plane.last_words(f"/aws/sagemaker/InferenceComponents/{self.name}", begun)
        return ServiceError(
            f"inference component {self.name} of {group} is {status}, but was to serve model {number}: {reason}",
            allowed=f"Its container's last words: {words}" if words else "",
        )

    def _undo(self, number: int, error: PlatformError, *, created: bool) -> None:
        """What was made for the number is gone, unless it serves; what could not be removed is said with the error.

        created: whether the component is new. One that was there and failed is left, for its last model may serve on.
        """
        try:
            found = self.settled()
            if found and created and found["InferenceComponentStatus"] == "Failed":
                self._delete()
                found = None
            if not found or self.number(found) != number:
                with contextlib.suppress(NotFoundError):
                    self._plane.call("delete_model", ModelName=f"{self.name}-{number}")
        except PlatformError as also:
            error.add_note(f"What was made for model {number} of {self.name} may stand still: {also}")

    def _delete(self) -> None:
        with contextlib.suppress(NotFoundError):
            self._plane.call("delete_inference_component", InferenceComponentName=self.name)
        self.settled()


def _requirements(needs: Needs) -> dict[str, Any]:
    """The part of a machine, as SageMaker has it. An accelerator is one device of it."""
    asked = {
        "NumberOfCpuCoresRequired": max(needs.cpu, _LEAST_CPU),
        "MinMemoryRequiredInMb": max(round(needs.memory_gib * 1024), _LEAST_MIB),
    }
    return {**asked, **({"NumberOfAcceleratorDevicesRequired": 1} if needs.accelerator else {})}
