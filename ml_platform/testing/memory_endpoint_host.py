"""An endpoint host in this process, for tests of what uses one; it passes the host's contract suite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from ml_platform.jobs.serving import bundle
from ml_platform.jobs.serving.served import Served
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit


class MemoryEndpointHost:
    """Serves for as long as it lives.

    calls: what was called, in order, with the traffic where that was given. off_by: what is added to every probability
    that a named version answers, as by a server that scores otherwise than the package does.
    """

    def __init__(self) -> None:
        self._serving: dict[str, Served] = {}
        self._numbers: dict[str, int] = {}
        self.calls: list[tuple[str, Any]] = []
        self.off_by = 0.0

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises."""
        self.calls.append(("deploy", (dict(spec.split.shares), spec.shadow)))
        number = self._numbers.get(spec.name, 0) + 1
        try:
            served = Served.load(spec, number)
        except PlatformError as error:
            raise ServiceError(f"endpoint {spec.name} cannot be served, but was to be: {error}") from error
        standing = self._serving.get(spec.name)
        if standing is None or standing.fingerprint != served.fingerprint:
            self._serving[spec.name], self._numbers[spec.name] = served, number
        return self._revision(spec.name)

    def describe(self, name: str) -> Revision | None:
        """As the role promises."""
        return self._revision(name) if name in self._serving else None

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises."""
        if name not in self._serving:
            raise NotFoundError(f"endpoint {name} is not served, but a request was made to it")
        status, body = bundle.answered(self._serving[name], json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            raise ServiceError(f"the answer of endpoint {name} is {status}, but not a prediction: {answer['error']}")
        if "parameters" in request:
            for output in answer["outputs"]:
                output["data"] = [value + self.off_by for value in output["data"]]
        return answer

    def retire(self, name: str) -> None:
        """As the role promises."""
        self.calls.append(("retire", name))
        self._serving.pop(name, None)

    def _revision(self, name: str) -> Revision:
        served = self._serving[name]
        spec = served.spec
        split = TrafficSplit(dict(spec.split.shares))
        return Revision(name, served.number, split, dict(served.digests), f"memory:{name}", True, spec.shadow)
