"""What an endpoint may ask of its host, and what a host's class says in `CANNOT` that it does not do."""

from __future__ import annotations

from collections.abc import Mapping

from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec

SHADOW, IDLE, REQUEST_KEY, FINE_SHARES = "shadow", "idle", "request_key", "fine_shares"
GROUP, REDACT = "group", "redact"
# What a host that names nothing in `CANNOT` does.
CAPABILITIES: Mapping[str, str] = {
    SHADOW: "a version that answers a copy of the traffic, off the caller's path, and is only logged",
    IDLE: "a version that is loaded without a share of the traffic, and answers whoever names it",
    REQUEST_KEY: "a traffic split by the request's entities: the same ones are answered by the same version",
    FINE_SHARES: "shares of traffic that are no whole percents",
    GROUP: "a server, or machines, that several endpoints share",
    REDACT: "columns that the server's log never holds in the clear",
}


def cannot(host: object) -> frozenset[str]:
    """What the host, or its class, does not do, of `CAPABILITIES`."""
    return frozenset(getattr(host, "CANNOT", ()))


def require_able(spec: EndpointSpec, host: object) -> None:
    """Returns where the host does what the spec asks for. Raises ServiceError for the first thing that it does not."""
    idle = [version for version in spec.packages if not spec.split.shares.get(version)]
    asked = {SHADOW: spec.shadow is not None, IDLE: bool(idle), GROUP: bool(spec.group), REDACT: bool(spec.redact)}
    for name, wanted in asked.items():
        if wanted and name in cannot(host):
            raise ServiceError(
                f"endpoint {spec.name} asks for {name} ({CAPABILITIES[name]}), but its host does not do that",
                remedy="Leave it out of the declaration, or take a host that does, such as embedded",
            )
