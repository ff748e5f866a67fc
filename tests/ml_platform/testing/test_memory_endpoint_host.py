from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing.endpoint_host import EndpointHostContract, endpoint_spec, publish_views, write_package
from ml_platform.testing.memory_endpoint_host import MemoryEndpointHost
from resources.embedded.feature_store import EmbeddedFeatureStore


class TestMemoryEndpointHost(EndpointHostContract):
    @pytest.fixture
    def host(self) -> MemoryEndpointHost:
        return MemoryEndpointHost()

    @pytest.fixture
    def spec(self, tmp_path: Path) -> EndpointSpec:
        store = {"path": str(tmp_path / "features.sqlite")}
        publish_views(EmbeddedFeatureStore(**store))
        log = {"folder": str(tmp_path / "log")}
        return endpoint_spec(
            {1: write_package(tmp_path / "package", rate=0.25)},
            ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
            ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", log),
        )
