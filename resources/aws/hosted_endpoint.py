"""One endpoint in SageMaker's control plane, with the models and configurations that it is made of."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from resources.aws.control_plane import ControlPlane

REVISION = "ml_platform_revision"
_PARTS = {"EndpointConfig": "endpoint_config", "Model": "model"}


@dataclass(frozen=True)
class Variant:
    """What one production variant is made of. source: S3 URI of its bundle; share: of the traffic, in 0–1."""

    version: int
    share: float
    source: str


@dataclass(frozen=True)
class Machine:
    """What the containers of an endpoint run in: image, ARN of their role, and instance type."""

    image: str
    role: str
    instance: str


class HostedEndpoint:
    """Configurations are named `<name>-<number>`, models `<name>-<number>-v<version>`, variants `v<version>`.

    name: in SageMaker.
    """

    def __init__(self, name: str, plane: ControlPlane) -> None:
        self.name, self._plane = name, plane

    def described(self) -> dict[str, Any] | None:
        """What SageMaker says of it; None where there is none. Raises ServiceError where it is not ours."""
        return self._plane.ours("describe_endpoint", "Endpoint", self.name)

    def settled(self) -> dict[str, Any] | None:
        """The same, once it is not being changed. Raises ServiceError where that takes too long."""
        return self._plane.settled(self.described, "Endpoint")

    def number(self, found: Mapping[str, Any]) -> int:
        """The number of the configuration that serves."""
        return int(found["EndpointConfigName"].removeprefix(f"{self.name}-"))

    def change(self, number: int, variants: Sequence[Variant], machine: Machine) -> None:
        """It is in service by the configuration of that number.

        Raises ServiceError with the words of SageMaker and of the container where it is not; what served before serves,
        and what was made for this is gone. An interrupted change goes on; whoever deploys next takes it up.
        """
        before = self.settled()
        if before and before["EndpointStatus"] == "Failed":
            self._delete_endpoint()
            before = None
        begun = time.time()
        try:
            self._create_parts(number, variants, machine)
            self._begin(f"{self.name}-{number}", update=before is not None)
            found = self.settled()
            if not found or found["EndpointStatus"] != "InService" or self.number(found) != number:
                raise self._failed(number, found or {}, begun)
        except PlatformError as error:
            self._undo(number, error)
            raise

    def weigh(self, number: int, shares: Mapping[int, float]) -> None:
        """SageMaker was told to send traffic to the same servers by other shares, which is revision `number`.

        shares: model version → share, of every variant. What comes of it is to be read back.
        """
        found = self.settled()
        if found is None:
            raise NotFoundError(f"endpoint {self.name} is gone, but its traffic was to be moved")
        # Before the traffic moves: a number that was served is never given again.
        revision = [{"Key": REVISION, "Value": str(number)}]
        self._plane.call("add_tags", ResourceArn=found["EndpointArn"], Tags=revision)
        weights = [{"VariantName": f"v{version}", "DesiredWeight": share} for version, share in shares.items()]
        self._update("update_endpoint_weights_and_capacities", DesiredWeightsAndCapacities=weights)
        self.settled()

    def revision(self, found: Mapping[str, Any]) -> int:
        """The number that its traffic was last moved under; 0 where it was not since it was created."""
        return int(self._plane.tags(found["EndpointArn"]).get(REVISION, "0"))

    def keep(self, numbers: Iterable[int]) -> None:
        """No configuration or model of ours with another number stands, but for what serves."""
        found = self.described()
        kept = {*numbers, *([self.number(found)] if found else [])}
        self._remove(lambda number: number not in kept)

    def delete(self, keep: int = 0) -> None:
        """Nothing of it stands, but for what has that number."""
        if self.settled():
            self._delete_endpoint()
        self.keep((keep,))

    def _create_parts(self, number: int, variants: Sequence[Variant], machine: Machine) -> None:
        for variant in variants:
            source = {"S3Uri": variant.source, "S3DataType": "S3Prefix", "CompressionType": "None"}
            self._plane.create(
                "model",
                ModelName=f"{self.name}-{number}-v{variant.version}",
                PrimaryContainer={"Image": machine.image, "ModelDataSource": {"S3DataSource": source}},
                ExecutionRoleArn=machine.role,
            )
        self._plane.create(
            "endpoint_config",
            EndpointConfigName=f"{self.name}-{number}",
            ProductionVariants=[self._variant(number, variant, machine) for variant in variants],
        )

    def _variant(self, number: int, variant: Variant, machine: Machine) -> dict[str, Any]:
        return {
            "VariantName": f"v{variant.version}",
            "ModelName": f"{self.name}-{number}-v{variant.version}",
            "InitialInstanceCount": 1,
            "InstanceType": machine.instance,
            "InitialVariantWeight": variant.share,
        }

    def _begin(self, config: str, update: bool) -> None:
        """SageMaker brings the endpoint to the configuration; what comes of it is to be read back."""
        if not update:
            self._plane.create("endpoint", EndpointName=self.name, EndpointConfigName=config)
            return
        self._update("update_endpoint", EndpointConfigName=config)

    def _update(self, operation: str, **request: Any) -> None:
        self._plane.update(self.described, "Endpoint", operation, EndpointName=self.name, **request)

    def _failed(self, number: int, found: Mapping[str, Any], begun: float) -> ServiceError:
        """Why the change did not come about."""
        status, reason = found.get("EndpointStatus", "gone"), found.get("FailureReason", "SageMaker gives no reason")
        if status == "InService":
            status = f"back at configuration {self.number(found)}"
        words = self._plane.last_words(f"/aws/sagemaker/Endpoints/{self.name}", begun)
        return ServiceError(
            f"endpoint {self.name} is {status}, but was to serve configuration {number}: {reason}",
            allowed=f"Its container's last words: {words}" if words else "",
        )

    def _undo(self, number: int, error: PlatformError) -> None:
        """What was made for the number is gone, unless it serves; what could not be removed is said with the error."""
        try:
            found = self.settled()
            if found and found["EndpointStatus"] == "Failed" and self.number(found) == number:
                self._delete_endpoint()
                found = None
            if not found or self.number(found) != number:
                self._remove(lambda other: other == number)
        except PlatformError as also:
            error.add_note(f"What was made for configuration {number} of {self.name} may stand still: {also}")

    def _remove(self, unwanted: Callable[[int], bool]) -> None:
        """No configuration or model stands whose number is unwanted."""
        for noun, operation in _PARTS.items():
            for name in self._named(noun, operation, unwanted):
                # Somebody else may be cleaning up as well, or the answer to our own call was lost.
                with contextlib.suppress(NotFoundError):
                    if self._plane.ours(f"describe_{operation}", noun, name):
                        self._plane.call(f"delete_{operation}", **{f"{noun}Name": name})

    def _named(self, noun: str, operation: str, unwanted: Callable[[int], bool]) -> list[str]:
        names = self._plane.names(f"list_{operation}s", noun, NameContains=f"{self.name}-")
        found = [re.fullmatch(rf"{re.escape(self.name)}-(\d+)(-v\d+)?", name) for name in names]
        return [match[0] for match in found if match and unwanted(int(match[1]))]

    def _delete_endpoint(self) -> None:
        with contextlib.suppress(NotFoundError):
            self._plane.call("delete_endpoint", EndpointName=self.name)
        self.settled()
