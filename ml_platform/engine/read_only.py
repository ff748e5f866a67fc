"""A service of which nothing is asked but to read: what a plan gives an asset's function in place of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_platform.engine import intent
from ml_platform.records.endpoint import EndpointSpec, Revision

# Role → what may be asked of it under a plan; whatever else a service can do is taken for a write.
READS: Mapping[str, frozenset[str]] = {
    "compute": frozenset({"fetch"}),
    "endpoint_host": frozenset({"describe"}),
    "feature_store": frozenset({"look_up", "published"}),
    "instance": frozenset({"get_latest_materialization_event", "fetch_materializations", "get_runs"}),
    "inventory": frozenset({"found"}),
    "job_runner": frozenset({"status"}),
    "lakehouse": frozenset({"table", "files"}),
    "model_registry": frozenset({"names", "versions", "version", "fetch"}),
    "prediction_log": frozenset({"since"}),
}


class ReadOnly:
    """A role's service, or dagster's `instance`, whose writes raise Intended before the service hears of them.

    It is equal to the service, so that it is known wherever the service is.
    """

    def __init__(self, role: str, service: Any) -> None:
        self._role, self._service = role, service

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name == "deploy" and self._role == "endpoint_host":
            return self._deployed
        if not callable(found) or name in READS.get(self._role, ()):
            return found
        return lambda *_, **__: intent.about_to("change", f"{self._role}.{name} is to be called")

    def __hash__(self) -> int:
        return hash(self._service)

    def __eq__(self, other: object) -> bool:
        return bool(self._service == (other._service if isinstance(other, ReadOnly) else other))

    def _deployed(self, spec: EndpointSpec) -> Revision:
        """What serves, where it is what the spec asks for as far as can be read back."""
        from pathlib import Path

        from ml_platform.engine.package import digest

        stands: Revision | None = self._service.describe(spec.name)
        versions = " and ".join(f"version {number}" for number in spec.packages)
        if stands is None:
            raise intent.Intended("create", f"{versions} is to be served")
        digests = {number: digest(Path(package)) for number, package in spec.packages.items()}
        served = (dict(stands.split.shares), dict(stands.digests), stands.shadow)
        if served != (dict(spec.split.shares), digests, spec.shadow):
            old = " and ".join(f"version {number}" for number in stands.digests)
            raise intent.Intended("change", f"revision {stands.number}, which serves {old}, is replaced by {versions}")
        return stands
