"""An endpoint on machines of its own: an endpoint of SageMaker with a production variant for each model version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from resources.aws.hosted_endpoint import HostedEndpoint, Machine, Variant
from resources.aws.revisions import Revisions
from resources.aws.runtime import DESCRIBE, Runtime, not_served
from resources.aws.serving import DIGITS, Serving, digests_of, parts, same


class OwnEndpoint:
    """A request goes to one variant by SageMaker's own weights, all of its rows to that one model version."""

    def __init__(self, name: str, hosted: HostedEndpoint, revisions: Revisions, runtime: Runtime) -> None:
        self._name, self._hosted, self._revisions, self._runtime = name, hosted, revisions, runtime

    def deploy(self, spec: EndpointSpec, machine: Machine) -> Revision:
        """As the role promises. A change that somebody began and left is waited for first.

        Where only the split is another one, the servers that run stay, and SageMaker sends them other shares.
        """
        from ml_platform.jobs.serving.wire import fingerprint

        digests = digests_of(spec)
        wanted = {f"v{version}": fingerprint(part, digests) for version, part in parts(spec).items()}
        shares = {version: spec.split.shares.get(version, 0.0) for version in spec.packages}
        standing = self._hosted.settled()
        before = self.serving()
        if before and same(before, wanted, shares):
            return before.revision
        number = self._revisions.next(self._name)
        if before and before.fingerprints == wanted:
            self._revisions.claim(self._name, number)
            self._hosted.weigh(number, shares)
            return self._read_back(number, wanted, shares)
        bundles = self._revisions.upload(self._name, number, {f"v{one}": part for one, part in parts(spec).items()})
        variants = [Variant(version, share, bundles[f"v{version}"]) for version, share in shares.items()]
        self._hosted.change(number, variants, machine)
        revision = self._read_back(number, wanted, shares)
        self._hosted.keep([number, *([self._hosted.number(standing)] if before and standing else [])])
        return revision

    def serving(self) -> Serving | None:
        """What serves: the split of the control plane, the rest as the servers themselves say."""
        found = self._hosted.described()
        if not found or not found.get("ProductionVariants") or found["EndpointStatus"] in ("Failed", "Deleting"):
            return None
        weights = {one["VariantName"]: float(one["CurrentWeight"]) for one in found["ProductionVariants"]}
        answers = {variant: self._asked(DESCRIBE, variant) for variant in weights}
        whole = sum(weights.values())
        revision = Revision(
            endpoint=self._name,
            number=max(self._hosted.revision(found), *(answer["number"] for answer in answers.values())),
            split=TrafficSplit({int(variant[1:]): round(one / whole, DIGITS) for variant, one in weights.items()}),
            digests={int(v): value for answer in answers.values() for v, value in answer["digests"].items()},
            url=self._runtime.url(self._hosted.name),
            ready=True,
            shadow=next((a["shadow"] for a in answers.values() if a.get("shadow") is not None), None),
        )
        return Serving(revision, {variant: answer["fingerprint"] for variant, answer in answers.items()})

    def invoke(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a V2 request, by the version that it names where it names one."""
        return self._asked(request, self._variant(request))

    def spec(self) -> dict[str, Any]:
        """The content of the bundle that serves. Raises NotFoundError where nothing does."""
        found = self._hosted.described()
        if not found or not found.get("ProductionVariants"):
            raise not_served(self._name)
        variant = found["ProductionVariants"][0]["VariantName"]
        return self._revisions.spec(self._name, self._hosted.number(found), variant)

    def delete(self, keep: int = 0) -> None:
        """Nothing of it stands, but for models of that number, which are another's by now."""
        self._hosted.delete(keep)

    def _read_back(self, number: int, wanted: Mapping[str, str], shares: Mapping[int, float]) -> Revision:
        """What serves, which is what was asked for. Raises ServiceError where it is not."""
        found = self.serving()
        if not found or found.revision.number != number or not same(found, wanted, shares):
            raise not_as_deployed(self._name, number, found)
        return found.revision

    def _variant(self, request: Mapping[str, Any]) -> str:
        """The variant of the version that a request names, so that its own server answers; empty where there is none.

        Every server has the packages of all versions, and answers for another, or says which there are.
        """
        version = (request.get("parameters") or {}).get("model_version")
        found = self._hosted.described() if version is not None else None
        variants = [one["VariantName"] for one in (found or {}).get("ProductionVariants", [])]
        return f"v{version}" if f"v{version}" in variants else ""

    def _asked(self, request: Mapping[str, Any], variant: str) -> dict[str, Any]:
        target = {"TargetVariant": variant} if variant else {}
        return self._runtime.asked(self._name, request, EndpointName=self._hosted.name, **target)


def not_as_deployed(name: str, number: int, found: Serving | None) -> ServiceError:
    """The error for a deployment of which something else is read back."""
    return ServiceError(
        f"revision {number} of endpoint {name} was deployed, but what serves is {found}",
        remedy="Check that the image is of this very code, then deploy again",
    )
