"""An endpoint host on Amazon SageMaker: real-time endpoints, with a production variant for each model version."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ml_platform.engine.hosting import GROUP, REDACT, REQUEST_KEY, require_able
from ml_platform.engine.machines import chosen
from ml_platform.errors import NotFoundError, ServiceError, TransientServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from resources.aws import sdk
from resources.aws.bucket import Bucket
from resources.aws.hosted_endpoint import HostedEndpoint, Machine, Variant
from resources.aws.instances import DEFAULT
from resources.aws.serving import DIGITS, Serving, digests_of, parts, same

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

NAME_CHARACTERS = 48  # of SageMaker's 63; numbers stand behind
_DESCRIBE = {"describe": True}
_SPEC = "endpoint.json"


class AwsEndpointHost:
    """A request goes to one variant by SageMaker's own weights, all of its rows to that one model version.

    image, role: of the containers; role as ARN. bucket, prefix, region: where bundles are, below `<prefix>/endpoints`;
    the prefix is the environment's, and names and tags carry it. lookup: who looks features up; `caller` where servers
    cannot reach the feature store. instances: the types that needs are mapped to, ascending, each `type`, `cpu`,
    `memory_gib` and, if it has one, `accelerator`. poll_seconds, wait_seconds: between two looks at a change, and how
    long one may take.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"aws"})
    CANNOT: ClassVar[frozenset[str]] = frozenset({GROUP, REDACT, REQUEST_KEY})

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
    ) -> None:
        self._image, self._role, self._prefix, self._region = image, role, prefix, region
        self._bucket = Bucket(bucket, region)
        self._lookup, self._instances = lookup, instances
        self._poll_seconds, self._wait_seconds = poll_seconds, wait_seconds
        self._bundled: dict[str, dict[str, Any]] = {}

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises. A change that somebody began and left is waited for first.

        Where only the split is another one, the servers that run stay, and SageMaker sends them other shares.
        """
        from ml_platform.jobs.serving.wire import fingerprint

        require_able(spec, self)
        spec = replace(spec, lookup="caller") if self._lookup == "caller" else spec
        digests = digests_of(spec)
        wanted = {f"v{version}": fingerprint(part, digests) for version, part in parts(spec).items()}
        shares = {version: spec.split.shares.get(version, 0.0) for version in spec.packages}
        endpoint = self._hosted(spec.name)
        standing = endpoint.settled()
        before = self._serving(spec.name)
        if before and same(before, wanted, shares):
            return before.revision
        number = self._last_number(spec.name) + 1
        if before and before.fingerprints == wanted:
            self._claim(spec.name, number)
            endpoint.weigh(number, shares)
            return self._read_back(spec.name, number, wanted, shares)
        machine = Machine(self._image, self._role, str(chosen(spec.needs, self._instances)["type"]))
        endpoint.change(number, self._bundle(spec, number, shares), machine)
        self._bundled.pop(spec.name, None)
        revision = self._read_back(spec.name, number, wanted, shares)
        endpoint.keep([number, *([endpoint.number(standing)] if before and standing else [])])
        return revision

    def _read_back(self, name: str, number: int, wanted: Mapping[str, str], shares: Mapping[int, float]) -> Revision:
        """What serves, which is what was asked for. Raises ServiceError where it is not."""
        found = self._serving(name)
        if not found or found.revision.number != number or not same(found, wanted, shares):
            raise ServiceError(
                f"revision {number} of endpoint {name} was deployed, but what serves is {found}",
                remedy="Check that the image is of this very code, then deploy again",
            )
        return found.revision

    def describe(self, name: str) -> Revision | None:
        """As the role promises: the split of the control plane, the rest as the servers themselves say."""
        found = self._serving(name)
        return found.revision if found else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises; features are looked up here where servers cannot."""
        from ml_platform.jobs.serving import bundle
        from ml_platform.jobs.serving.protocol import RequestError

        variant = self._variant(name, request)
        if self._lookup == "endpoint":
            return self._invoked(name, request, variant)
        try:
            plain = self._bundled_spec(name)
            answer = self._invoked(name, bundle.completed(plain, request), variant)
        except RequestError as error:
            raise ServiceError(f"the request to endpoint {name} is not one, but has to be: {error}") from error
        except (NotFoundError, ServiceError):
            self._bundled.pop(name, None)
            raise
        if answer["parameters"]["revision"] != plain["revision"]:
            self._bundled.pop(name)
        return answer

    def retire(self, name: str) -> None:
        """As the role promises; bundles stay, so that revisions are numbered on."""
        self._hosted(name).delete()
        self._bundled.pop(name, None)

    @cached_property
    def _runtime(self) -> Any:
        return sdk.client("sagemaker-runtime", self._region)

    def _hosted(self, name: str) -> HostedEndpoint:
        from ml_platform.engine.remote_jobs import job_name

        called = job_name(self._prefix, name, NAME_CHARACTERS)
        return HostedEndpoint(called, self._prefix, self._region, self._poll_seconds, self._wait_seconds)

    def _serving(self, name: str) -> Serving | None:
        endpoint = self._hosted(name)
        found = endpoint.described()
        if not found or not found.get("ProductionVariants") or found["EndpointStatus"] in ("Failed", "Deleting"):
            return None
        weights = {one["VariantName"]: float(one["CurrentWeight"]) for one in found["ProductionVariants"]}
        answers = {variant: self._invoked(name, _DESCRIBE, variant) for variant in weights}
        whole = sum(weights.values())
        revision = Revision(
            endpoint=name,
            number=max(endpoint.revision(found), *(answer["number"] for answer in answers.values())),
            split=TrafficSplit({int(variant[1:]): round(one / whole, DIGITS) for variant, one in weights.items()}),
            digests={int(v): value for answer in answers.values() for v, value in answer["digests"].items()},
            url=f"{self._runtime.meta.endpoint_url}/endpoints/{endpoint.name}/invocations",
            ready=True,
            shadow=next((a["shadow"] for a in answers.values() if a.get("shadow") is not None), None),
        )
        return Serving(revision, {variant: answer["fingerprint"] for variant, answer in answers.items()})

    def _variant(self, name: str, request: Mapping[str, Any]) -> str:
        """The variant of the version that a request names, so that its own server answers; empty where there is none.

        Every server has the packages of all versions, and answers for another, or says which there are.
        """
        version = (request.get("parameters") or {}).get("model_version")
        found = self._hosted(name).described() if version is not None else None
        variants = [one["VariantName"] for one in (found or {}).get("ProductionVariants", [])]
        return f"v{version}" if f"v{version}" in variants else ""

    def _invoked(self, name: str, request: Mapping[str, Any], variant: str = "") -> dict[str, Any]:
        """The answer of one server, of that variant where one is named. Raises NotFoundError, ServiceError."""
        from botocore.exceptions import ClientError

        target = {"TargetVariant": variant} if variant else {}
        body = {"EndpointName": self._hosted(name).name, "Body": json.dumps(request), "ContentType": "application/json"}
        try:
            with sdk.told():
                try:
                    answer = self._runtime.invoke_endpoint(**body, **target)
                except ClientError as error:
                    if error.response["Error"]["Code"] == "ModelError":
                        raise _refused(name, error.response) from error
                    raise
                found: dict[str, Any] = json.loads(answer["Body"].read())
        except NotFoundError as error:
            raise NotFoundError(
                f"endpoint {name} is not served, but a request was made to it", remedy=f"Materialize endpoints/{name}"
            ) from error
        return found

    def _bundle(self, spec: EndpointSpec, number: int, shares: Mapping[int, float]) -> list[Variant]:
        """A variant for each version, its bundle in the bucket. Raises ServiceError for what cannot be served."""
        from ml_platform.jobs.serving import bundle

        home = f"{self._home(spec.name)}{number}"
        with tempfile.TemporaryDirectory() as scratch:
            for version, part in parts(spec).items():
                bundle.write(part, number, Path(scratch) / f"v{version}")
                bundle.check(Path(scratch) / f"v{version}")
            self._claim(spec.name, number)
            self._bucket.upload(Path(scratch), home)
        return [Variant(version, share, self._bucket.uri(f"{home}/v{version}/")) for version, share in shares.items()]

    def _claim(self, name: str, number: int) -> None:
        """The number is ours, and is never given again. Raises TransientServiceError where somebody else has it."""
        if not self._bucket.put_new(f"{self._home(name)}{number}/number", str(number).encode()):
            raise TransientServiceError(
                f"revision {number} of endpoint {name} is to be deployed, but somebody else just began to",
                remedy="Deploy again when that has ended",
            )

    def _bundled_spec(self, name: str) -> dict[str, Any]:
        """The content of the bundle that serves; it is read once for each revision."""
        if name not in self._bundled:
            endpoint = self._hosted(name)
            found = endpoint.described()
            if not found or not found.get("ProductionVariants"):
                raise NotFoundError(
                    f"endpoint {name} is not served, but a request was made to it",
                    remedy=f"Materialize endpoints/{name}",
                )
            variant = found["ProductionVariants"][0]["VariantName"]
            key = f"{self._home(name)}{endpoint.number(found)}/{variant}/{_SPEC}"
            self._bundled[name] = json.loads(self._bucket.get(key))
        return self._bundled[name]

    def _last_number(self, name: str) -> int:
        return max((int(number) for number in self._bucket.folders(self._home(name))), default=0)

    def _home(self, name: str) -> str:
        return f"{self._prefix}/endpoints/{name}/"


def _refused(name: str, response: Mapping[str, Any]) -> ServiceError:
    """The error for an answer of the container itself that is none."""
    status, text = response.get("OriginalStatusCode", 0), response.get("OriginalMessage", "")
    try:
        said = json.loads(text)["error"]
    except (ValueError, TypeError, KeyError):
        said = text
    kind = TransientServiceError if status == 503 else ServiceError
    return kind(f"the answer of endpoint {name} is {status}, but not a prediction: {said}")


if TYPE_CHECKING:
    _: type[EndpointHost] = AwsEndpointHost
