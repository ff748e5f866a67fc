"""An endpoint host on Vertex AI: endpoints with a deployed model for each model version that has traffic."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ml_platform.engine.hosting import FINE_SHARES, GROUP, REDACT, REQUEST_KEY, require_able
from ml_platform.errors import NotFoundError, ServiceError, TransientServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from resources.gcp import instances as types
from resources.gcp import sdk
from resources.gcp.bucket import Bucket
from resources.gcp.serving import Serving, ask, serving
from resources.gcp.vertex_endpoint import Served, VertexEndpoint

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

_SPEC = "endpoint.json"


class GcpEndpointHost:
    """A request goes to one deployed model by Vertex AI's own traffic split, all of its rows to one model version.

    image: of the containers; service_account: whose permissions they have, empty for the project's default. bucket,
    prefix: where bundles are, below `<prefix>/endpoints`; the prefix is the environment's, and names and labels carry
    it. project, region: where endpoints are; api_endpoint: of another Vertex AI than Google's. lookup: who looks
    features up; `caller` where servers cannot reach the feature store. instances: the types that needs are mapped to,
    ascending. poll_seconds, wait_seconds: between two looks at a change, and how long one may take.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"gcp"})
    CANNOT: ClassVar[frozenset[str]] = frozenset({GROUP, REDACT, REQUEST_KEY, FINE_SHARES})

    def __init__(
        self,
        image: str,
        bucket: str,
        prefix: str,
        project: str,
        region: str,
        service_account: str = "",
        api_endpoint: str = "",
        lookup: Literal["endpoint", "caller"] = "endpoint",
        instances: Sequence[Mapping[str, Any]] = types.DEFAULT,
        poll_seconds: float = 10.0,
        wait_seconds: float = 3600.0,
    ) -> None:
        self._image, self._service_account, self._prefix = image, service_account, prefix
        self._bucket, self._vertex = Bucket(bucket, sdk.dagster_storage), sdk.Vertex(project, region, api_endpoint)
        self._lookup, self._instances = lookup, instances
        self._poll_seconds, self._wait_seconds = poll_seconds, wait_seconds
        self._plain: dict[tuple[str, int], Any] = {}

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises; deployments of one endpoint come one after the other.

        A version whose server has all of it loaded already keeps that server; others get new ones beside the old, which
        go once what serves has been read back.
        """
        require_able(spec, self)
        spec = replace(spec, lookup=self._lookup)
        percent, machine = _percent(spec), types.machine(spec.needs, self._instances)
        endpoint = self._endpoint(spec.name)
        before, wanted = self._before(endpoint), _fingerprints(spec)
        if before and _same(before, wanted, spec):
            endpoint.sweep()
            return before.revision
        number = max(self._numbers(spec.name), default=0) + 1
        has = before.fingerprints if before else {}
        kept = {one: before.deployed[one] for one in wanted if before and has.get(one) == wanted[one]}
        places = self._bundled(spec, number, wanted.keys() - kept.keys())
        traffic, revision = endpoint.traffic(), endpoint.revision()
        try:
            endpoint.create()
            deployed = kept | {
                version: endpoint.deploy(
                    f"{spec.name}-{number}-{version}", Served(self._image, place, machine, self._service_account)
                )
                for version, place in places.items()
            }
            endpoint.route({one: percent[version] for version, one in deployed.items()}, number)
            found = self._read_back(endpoint, spec, number, wanted)
        except BaseException:
            endpoint.restore(traffic, revision)
            raise
        endpoint.sweep()
        used = {int(called.rsplit("-", 2)[1]) for called in endpoint.called()}
        self._keep(spec.name, {number, before.revision.number if before else number, *used})
        return found.revision

    def describe(self, name: str) -> Revision | None:
        """As the role promises: the split of the control plane, the rest as the servers themselves say."""
        found = serving(self._endpoint(name), self._poll_seconds)
        return found.revision if found else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises; features are looked up here where servers cannot."""
        from ml_platform.jobs.serving import bundle
        from ml_platform.jobs.serving.tensors import RequestError

        endpoint = self._endpoint(name)
        try:
            if self._lookup == "caller":
                request = bundle.completed(self._serving_spec(endpoint, name), request)
        except RequestError as error:
            raise ServiceError(f"the request to endpoint {name} is none: {error}") from error
        try:
            return ask(endpoint, request)[1]
        except NotFoundError as error:
            raise _not_served(name) from error

    def retire(self, name: str) -> None:
        """As the role promises; bundles stay, so that revisions are numbered on."""
        self._endpoint(name).delete()

    def _endpoint(self, name: str) -> VertexEndpoint:
        return VertexEndpoint(self._vertex, self._prefix, name, self._poll_seconds, self._wait_seconds)

    def _before(self, endpoint: VertexEndpoint) -> Serving | None:
        """What serves; None too where servers do not answer, for it is by a deployment that they are replaced."""
        try:
            return serving(endpoint, self._poll_seconds)
        except TransientServiceError:
            return None

    def _read_back(
        self, endpoint: VertexEndpoint, spec: EndpointSpec, number: int, wanted: Mapping[int, str]
    ) -> Serving:
        """What serves, which is what was asked for. Raises ServiceError where it is not."""
        found = serving(endpoint, self._poll_seconds)
        if found and found.revision.number == number and _same(found, wanted, spec):
            return found
        raise ServiceError(
            f"revision {number} of endpoint {spec.name} was deployed, but what serves is {found}",
            remedy="Check that the image is of this very code, then deploy again",
        )

    def _bundled(self, spec: EndpointSpec, number: int, versions: Collection[int]) -> dict[int, str]:
        """Version → where its bundle is, which was found to load; the number is given by then, and never again."""
        from ml_platform.jobs.serving import bundle

        places = {}
        with tempfile.TemporaryDirectory() as scratch:
            claim = Path(scratch) / "claim"
            claim.mkdir()
            (claim / "number").write_text(str(number))
            parts = {version: Path(scratch) / str(version) for version in _parts(spec) if version in versions}
            for version, folder in parts.items():
                bundle.write(_parts(spec)[version], number, folder)
                bundle.check(folder)
            self._bucket.upload(claim, f"{self._folder(spec.name)}{number}")
            for version, folder in parts.items():
                place = f"{self._folder(spec.name)}{number}/{version}"
                self._bucket.upload(folder, place)
                places[version] = self._bucket.uri(place)
        return places

    def _serving_spec(self, endpoint: VertexEndpoint, name: str) -> Any:
        """The content of `endpoint.json` of what serves."""
        found = endpoint.find()
        if not found or not found.traffic_split:
            raise _not_served(name)
        serving = next(one for one in found.deployed_models if found.traffic_split.get(one.id))
        number, version = (int(part) for part in serving.display_name.rsplit("-", 2)[1:])
        if (name, number) not in self._plain:
            self._plain[name, number] = json.loads(self._bucket.get(f"{self._folder(name)}{number}/{version}/{_SPEC}"))
        return self._plain[name, number]

    def _keep(self, name: str, numbers: set[int]) -> None:
        """Only the bundles of those revisions are kept."""
        for number in set(self._numbers(name)) - numbers:
            self._bucket.delete(f"{self._folder(name)}{number}")

    def _numbers(self, name: str) -> list[int]:
        return [int(number) for number in self._bucket.folders(self._folder(name))]

    def _folder(self, name: str) -> str:
        return f"{self._prefix}/endpoints/{name}/"


def _parts(spec: EndpointSpec) -> dict[int, EndpointSpec]:
    """Version with traffic → the spec of its server, in which it alone answers, but takes what all versions take."""
    shares = spec.split.shares
    alone = {version: dict.fromkeys(shares, 0.0) | {version: 1.0} for version, share in shares.items() if share}
    return {version: replace(spec, split=TrafficSplit(split)) for version, split in alone.items()}


def _fingerprints(spec: EndpointSpec) -> dict[int, str]:
    from ml_platform.engine.package import digest
    from ml_platform.jobs.serving.wire import fingerprint

    for version, folder in spec.packages.items():
        if not Path(folder).is_dir():
            raise NotFoundError(f"the package of version {version} is to be at {folder}, but there is no such folder")
    digests = {version: digest(Path(folder)) for version, folder in spec.packages.items()}
    return {version: fingerprint(part, digests) for version, part in _parts(spec).items()}


def _percent(spec: EndpointSpec) -> dict[int, int]:
    """Version → its percentage. Raises ServiceError for a share that is none in whole percents."""
    for version, share in spec.split.shares.items():
        if not math.isclose(share * 100, round(share * 100), abs_tol=1e-9):
            raise ServiceError(
                f"the share of version {version} of endpoint {spec.name} is {share}, but Vertex AI splits by percents",
                allowed="Shares are whole percents, for instance 0.05",
            )
    return {version: round(share * 100) for version, share in spec.split.shares.items()}


def _same(found: Serving, wanted: Mapping[int, str], spec: EndpointSpec) -> bool:
    return found.fingerprints == wanted and found.revision.split == spec.split


def _not_served(name: str) -> NotFoundError:
    return NotFoundError(
        f"endpoint {name} is not served, but a request was made to it", remedy=f"Materialize endpoints/{name}"
    )


if TYPE_CHECKING:
    _: type[EndpointHost] = GcpEndpointHost
