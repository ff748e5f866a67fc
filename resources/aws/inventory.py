"""The inventory of Amazon SageMaker: endpoints and jobs that carry our environment's tag."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.inventory import Owned
from resources.aws import sdk
from resources.aws.component import Component
from resources.aws.control_plane import ControlPlane
from resources.aws.endpoint_host import NAME_CHARACTERS
from resources.aws.hosted_endpoint import HostedEndpoint
from resources.aws.job_answers import kind_of
from resources.aws.sdk import ENVIRONMENT

if TYPE_CHECKING:
    from ml_platform.roles.inventory import Inventory


class AwsInventory:
    """Asks SageMaker's listing calls, and the tags of what they list.

    prefix: the environment's, which names and tags carry. poll_seconds, wait_seconds: for what is being deleted.
    """

    def __init__(self, prefix: str, region: str, poll_seconds: float = 10.0, wait_seconds: float = 3600.0) -> None:
        self._prefix, self._region = prefix, region
        self._plane = ControlPlane(prefix, region, poll_seconds, wait_seconds)

    def found(self, endpoints: Collection[str]) -> Sequence[Owned]:
        """As the role promises; of jobs, those that have not ended."""
        declared = {self._called(name): name for name in endpoints}
        # A component is an endpoint of ours; what components stand on is only the machines that they share.
        components = [*self._listed("InferenceComponent", "list_inference_components")]
        shared = {one["EndpointName"] for one in components}
        named = [(one["InferenceComponentName"], one["CreationTime"]) for one in components]
        named += [
            (one["EndpointName"], one["CreationTime"])
            for one in self._listed("Endpoint", "list_endpoints")
            if one["EndpointName"] not in shared
        ]
        served = [Owned("endpoint", declared.get(name, name), since) for name, since in named]
        going = [
            Owned("job", one[f"{kind}JobName"], one["CreationTime"])
            for kind in ("Processing", "Training")
            for one in self._listed(f"{kind}Job", f"list_{kind.lower()}_jobs", StatusEquals="InProgress")
        ]
        return [*sorted(served, key=lambda one: one.name), *sorted(going, key=lambda one: one.name)]

    def remove(self, owned: Owned) -> None:
        """As the role promises."""
        if owned.kind == "endpoint":
            called = owned.name if owned.name.startswith(f"{self._prefix}-") else self._called(owned.name)
            Component(called, self._plane).delete()
            return HostedEndpoint(called, self._plane).delete()
        return self._stop(owned.name)

    def _stop(self, job_id: str) -> None:
        kind = kind_of(job_id)
        if not kind:
            raise NotFoundError(f"job {job_id} is to be ended, but no job of ours has such a name")
        name = {f"{kind}JobName": job_id}
        found = sdk.call(self._sagemaker, f"describe_{kind.lower()}_job", **name)
        if not self._is_ours(found[f"{kind}JobArn"]):
            raise ServiceError(
                f"job {job_id} is to be ended, but it stands without the tag {ENVIRONMENT}={self._prefix}"
            )
        if found[f"{kind}JobStatus"] == "InProgress":
            sdk.call(self._sagemaker, f"stop_{kind.lower()}_job", **name)

    def _listed(self, noun: str, operation: str, **request: Any) -> Iterator[dict[str, Any]]:
        """The summaries of what is ours; names are looked through before tags are asked for."""
        plural = f"{noun}Summaries" if noun.endswith("Job") else f"{noun}s"
        with sdk.told():
            pages = self._sagemaker.get_paginator(operation).paginate(NameContains=f"{self._prefix}-", **request)
            every = [one for page in pages for one in page[plural]]
        return (one for one in every if self._is_ours(one[f"{noun}Arn"]))

    def _is_ours(self, arn: str) -> bool:
        return sdk.tags(self._sagemaker, arn).get(ENVIRONMENT) == self._prefix

    def _called(self, name: str) -> str:
        from ml_platform.engine.remote_jobs import job_name

        return job_name(self._prefix, name, NAME_CHARACTERS)

    @cached_property
    def _sagemaker(self) -> Any:
        return sdk.client("sagemaker", self._region)


if TYPE_CHECKING:
    _: type[Inventory] = AwsInventory
