"""The endpoint host: the service that serves model versions at an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ml_platform.records.endpoint import EndpointSpec, Revision


class EndpointHost(Protocol):
    """Serves; an endpoint outlives the process that deployed it. It speaks the Open Inference Protocol (V2).

    The split of the traffic goes by the request's key, so that the same entities are answered by the same version. A
    class says in `CANNOT` what it does not do, of `engine.hosting.CAPABILITIES`, and refuses a spec that asks for it.
    """

    def deploy(self, spec: EndpointSpec) -> Revision:
        """The endpoint serves the spec, as read back from it.

        A running endpoint of ours with that name is adopted; one that serves the spec already is left as it is.
        Raises ServiceError where it does not come up healthy; what served before goes on serving.
        """
        ...

    def describe(self, name: str) -> Revision | None:
        """What really serves under the name, asked of the endpoint itself; None where nothing does."""
        ...

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The V2 answer to a V2 request, by the version that its `parameters.model_version` names where it names one.

        Raises NotFoundError, ServiceError with the endpoint's own message.
        """
        ...

    def retire(self, name: str) -> None:
        """Nothing serves under the name afterwards, and nothing that it started runs; idempotent."""
        ...
