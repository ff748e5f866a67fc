"""An endpoint that shares machines with others of its group: an inference component of one endpoint of SageMaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import NotFoundError, PlatformError, ServiceError, TransientServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision
from ml_platform.records.job import Needs
from resources.aws.component import Component, Group, Part
from resources.aws.hosted_endpoint import HostedEndpoint, Machine
from resources.aws.own_endpoint import not_as_deployed
from resources.aws.revisions import Revisions
from resources.aws.runtime import DESCRIBE, Runtime, not_served
from resources.aws.serving import Serving, digests_of

_PART = "all"  # of a bundle: one container holds all versions
_SERVES = ("InService", "Updating", "Failed")  # an update that failed leaves the last model answering, or nothing


@dataclass(frozen=True)
class Machines:
    """What groups run on. types: as the profile lists them; most: machines that a group may grow to."""

    types: Sequence[Mapping[str, Any]]
    most: int


class SharedEndpoint:
    """Its one container splits the traffic by the request's key, and answers whoever names a version.

    hosted: the endpoint of the same name, which is not there while this is; models of both are named alike.
    """

    def __init__(
        self, name: str, component: Component, hosted: HostedEndpoint, revisions: Revisions, runtime: Runtime
    ) -> None:
        self._name, self._component, self._hosted = name, component, hosted
        self._revisions, self._runtime = revisions, runtime

    def deploy(self, spec: EndpointSpec, group: Group, machine: Machine, of: Machines) -> Revision:
        """As the role promises. machine: of the group where it is new."""
        from ml_platform.jobs.serving.wire import fingerprint

        self._component.settled()
        wanted = {_PART: fingerprint(spec, digests_of(spec))}
        before = self.serving()
        if before and before.fingerprints == wanted:
            return before.revision
        require_fit(spec, group.stand(machine, of.most), of.types)
        number = self._revisions.next(self._name)
        try:
            bundles = self._revisions.upload(self._name, number, {_PART: spec})
            part = Part(bundles[_PART], spec.needs)
            try:
                self._component.change(number, part, group.name, machine)
            except PlatformError:
                if group.stands():
                    raise
                # The last to leave has taken it along since.
                group.stand(machine, of.most)
                self._component.change(number, part, group.name, machine)
        except Exception:
            group.delete_if_empty()
            raise
        found = self.serving()
        if not found or found.revision.number != number or found.fingerprints != wanted:
            raise not_as_deployed(self._name, number, found)
        self._hosted.keep([number, *([before.revision.number] if before else [])])
        return found.revision

    def group(self) -> str:
        """The name of the endpoint of SageMaker that it is on; empty where there is none."""
        found = self._component.described()
        return str(found["EndpointName"]) if found and found["InferenceComponentStatus"] != "Deleting" else ""

    def serving(self) -> Serving | None:
        """What serves, as its server says."""
        from ml_platform.jobs.serving import bundle

        found = self._component.described()
        if not found or found["InferenceComponentStatus"] not in _SERVES:
            return None
        try:
            answer = self._asked(DESCRIBE, found["EndpointName"])
        except TransientServiceError:
            raise
        except (NotFoundError, ServiceError):
            if found["InferenceComponentStatus"] == "Failed":
                return None
            raise
        revision = bundle.revision(answer, self._runtime.url(found["EndpointName"]))
        return Serving(revision, {_PART: answer["fingerprint"]})

    def invoke(self, request: Mapping[str, Any], group: str) -> dict[str, Any]:
        """The answer to a V2 request. group: as `group` said."""
        return self._asked(request, group)

    def spec(self) -> dict[str, Any]:
        """The content of the bundle that serves. Raises NotFoundError where nothing does."""
        found = self._component.described()
        if not found:
            raise not_served(self._name)
        return self._revisions.spec(self._name, self._component.number(found), _PART)

    def delete(self) -> None:
        """Nothing of it stands, but for models, and nothing of a group that it leaves empty."""
        self._component.delete()

    def _asked(self, request: Mapping[str, Any], group: str) -> dict[str, Any]:
        target = {"EndpointName": group, "InferenceComponentName": self._component.name}
        return self._runtime.asked(self._name, request, **target)


def require_fit(spec: EndpointSpec, instance: str, types: Sequence[Mapping[str, Any]]) -> None:
    """Returns where a machine of the group holds what the endpoint needs. Raises ServiceError where it does not.

    instance: type of the group's machines. types: as the profile lists them; one that is not among them is not judged.
    """
    of: Mapping[str, Any] = next((one for one in types if one["type"] == instance), {})
    needs: Needs = spec.needs
    if of and (
        needs.cpu > of["cpu"] or needs.memory_gib > of["memory_gib"] or needs.accelerator != of.get("accelerator")
    ):
        raise ServiceError(
            f"endpoint {spec.name} needs {needs.cpu:g} cores, {needs.memory_gib:g} GiB and "
            f"{needs.accelerator or 'no accelerator'}, but group {spec.group} runs on {instance}",
            allowed="A group's machines are of the type that its first endpoint needed",
            remedy="Deploy the largest endpoint of the group first, or give this one a group of its own",
        )
