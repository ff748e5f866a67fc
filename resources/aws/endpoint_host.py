"""An endpoint host on Amazon SageMaker: real-time endpoints, and inference components for those that share one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ml_platform.engine.hosting import REDACT, REQUEST_KEY, require_able
from ml_platform.engine.machines import chosen
from ml_platform.engine.remote_jobs import job_name
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision
from resources.aws.bucket import Bucket
from resources.aws.component import Component, Group
from resources.aws.control_plane import ControlPlane
from resources.aws.hosted_endpoint import HostedEndpoint, Machine
from resources.aws.instances import DEFAULT
from resources.aws.own_endpoint import OwnEndpoint
from resources.aws.revisions import Revisions
from resources.aws.runtime import Runtime
from resources.aws.shared_endpoint import Machines, SharedEndpoint

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

NAME_CHARACTERS = 48  # of SageMaker's 63; numbers stand behind


class AwsEndpointHost:
    """An endpoint has machines of its own, with a variant for each version, or shares those of its group.

    Of its own, a request goes to one variant by SageMaker's weights, all of its rows to that one model version; in a
    group one container splits the traffic by the request's key.
    image, role: of the containers; role as ARN. bucket, prefix, region: where bundles are, below `<prefix>/endpoints`;
    the prefix is the environment's, and names and tags carry it. lookup: who looks features up; `caller` where servers
    cannot reach the feature store. instances: the types that needs are mapped to, ascending, each `type`, `cpu`,
    `memory_gib` and, if it has one, `accelerator`. poll_seconds, wait_seconds: between two looks at a change, and how
    long one may take. group_machines: how many a group may grow to, as its endpoints ask for more than one has.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"aws"})
    CANNOT: ClassVar[frozenset[str]] = frozenset({REDACT, REQUEST_KEY})

    def __init__(
        self,
        image: str,
        role: str,
        bucket: str,
        prefix: str,
        region: str,
        lookup: Literal["endpoint", "caller"] = "endpoint",
        instances: Sequence[Mapping[str, Any]] = DEFAULT,
        poll_seconds: float = 10.0,
        wait_seconds: float = 3600.0,
        group_machines: int = 2,
    ) -> None:
        self._image, self._role, self._prefix = image, role, prefix
        self._lookup, self._machines = lookup, Machines(instances, group_machines)
        self._plane = ControlPlane(prefix, region, poll_seconds, wait_seconds)
        self._revisions, self._runtime = Revisions(Bucket(bucket, region), prefix), Runtime(region)
        self._bundled: dict[str, dict[str, Any]] = {}
        self._shares: dict[str, str] = {}

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises. A change that somebody began and left is waited for first.

        Where an endpoint joins or leaves a group it serves the one way until it serves the other; from one group it
        comes to another by machines of its own.
        """
        require_able(spec, self)
        spec = replace(spec, lookup="caller") if self._lookup == "caller" else spec
        machine = self._machine(spec)
        own, shared = self._own(spec.name), self._shared(spec.name)
        try:
            if not spec.group:
                revision = own.deploy(spec, machine)
                shared.delete()
                return revision
            group = self._group(spec.group)
            if shared.group() not in ("", group.name):
                self.deploy(replace(spec, group=""))
            revision = shared.deploy(spec, group, machine, self._machines)
            own.delete(keep=revision.number)
            return revision
        finally:
            self._forget(spec.name)

    def describe(self, name: str) -> Revision | None:
        """As the role promises, as the servers themselves say."""
        found = self._shared(name).serving() or self._own(name).serving()
        return found.revision if found else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises; features are looked up here where servers cannot."""
        from ml_platform.jobs.serving import bundle
        from ml_platform.jobs.serving.tensors import RequestError

        try:
            if self._lookup == "endpoint":
                return self._invoked(name, request)
            plain = self._bundled_spec(name)
            answer = self._invoked(name, bundle.completed(plain, request))
        except RequestError as error:
            raise ServiceError(f"the request to endpoint {name} is not one, but has to be: {error}") from error
        except (NotFoundError, ServiceError):
            self._forget(name)
            raise
        if answer["parameters"]["revision"] != plain["revision"]:
            self._bundled.pop(name)
        return answer

    def retire(self, name: str) -> None:
        """As the role promises; bundles stay, so that revisions are numbered on."""
        self._shared(name).delete()
        self._own(name).delete()
        self._forget(name)

    def _invoked(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. An endpoint that somebody else has moved, into a group or out of one, is looked for once more."""
        group = self._group_of(name)
        try:
            return self._asked(name, request, group)
        except NotFoundError:
            self._shares.pop(name, None)
            now = self._group_of(name)
            if now == group:
                raise
            return self._asked(name, request, now)

    def _asked(self, name: str, request: Mapping[str, Any], group: str) -> dict[str, Any]:
        return self._shared(name).invoke(request, group) if group else self._own(name).invoke(request)

    def _group_of(self, name: str) -> str:
        """The name in SageMaker of the endpoint that it shares; empty where it has its own. Asked once."""
        if name not in self._shares:
            self._shares[name] = self._shared(name).group()
        return self._shares[name]

    def _bundled_spec(self, name: str) -> dict[str, Any]:
        """The content of the bundle that serves; it is read once for each revision."""
        if name not in self._bundled:
            self._bundled[name] = (self._shared(name) if self._group_of(name) else self._own(name)).spec()
        return self._bundled[name]

    def _forget(self, name: str) -> None:
        self._bundled.pop(name, None)
        self._shares.pop(name, None)

    def _machine(self, spec: EndpointSpec) -> Machine:
        return Machine(self._image, self._role, str(chosen(spec.needs, self._machines.types)["type"]))

    def _own(self, name: str) -> OwnEndpoint:
        return OwnEndpoint(name, HostedEndpoint(self._called(name), self._plane), self._revisions, self._runtime)

    def _shared(self, name: str) -> SharedEndpoint:
        component, models = Component(self._called(name), self._plane), HostedEndpoint(self._called(name), self._plane)
        return SharedEndpoint(name, component, models, self._revisions, self._runtime)

    def _group(self, name: str) -> Group:
        return Group(self._called(f"group-{name}"), self._plane)

    def _called(self, name: str) -> str:
        return job_name(self._prefix, name, NAME_CHARACTERS)


if TYPE_CHECKING:
    _: type[EndpointHost] = AwsEndpointHost
