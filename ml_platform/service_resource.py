"""A service as a Dagster resource: its settings in the UI, itself in the hands of an asset."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster import InitResourceContext
from pydantic import Field

from ml_platform.binding import Binding, build


class ServiceResource(dg.ConfigurableResource[Any]):
    """Builds the service when a run starts; a setting that holds `${NAME}` is shown as that and read only then."""

    role: str = Field(description="The role that is played.")
    service: str = Field(description="Who plays it: the folder in resources.")
    settings: dict[str, Any] = Field(default={}, description="The service's settings, secrets as ${NAME} only.")

    @classmethod
    def of(cls, binding: Binding) -> ServiceResource:
        """The resource of a binding."""
        return cls(role=binding.role, service=binding.service, settings=dict(binding.settings))

    def create_resource(self, context: InitResourceContext) -> Any:
        """The service itself, as an asset's parameter receives it."""
        return build(Binding(self.role, self.service, self.settings))
