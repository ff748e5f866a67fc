from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_platform.records.endpoint import EndpointSpec, ServiceBinding
from ml_platform.testing.cloud_faults import CloudFaultsContract
from ml_platform.testing.stand_in import Cloud
from ml_platform.testing.store_faults import StoreFaultsContract
from resources.embedded.compute import EmbeddedCompute
from resources.gcp.endpoint_host import GcpEndpointHost
from resources.gcp.lakehouse import GcpLakehouse
from resources.gcp.prediction_log import GcpPredictionLog

# Google's SDK leaves the connection of a download that was refused to the garbage collector, which then complains.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What was left is collected here, where nobody minds."""
    yield
    gc.collect()


class TestFaultsOfGcp(CloudFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def runner_binding(self, account: Any) -> ServiceBinding:
        return ServiceBinding("resources.gcp.job_runner", "GcpJobRunner", account.settings)

    @pytest.fixture
    def pin(self, gcp_pin: dict[str, Any]) -> dict[str, Any]:
        return gcp_pin

    @pytest.fixture
    def host(self, account: Any) -> GcpEndpointHost:
        return GcpEndpointHost(**account.settings, lookup="caller")

    @pytest.fixture
    def endpoint(self, gcp_spec: EndpointSpec) -> EndpointSpec:
        return gcp_spec

    @pytest.fixture
    def left(self, account: Any) -> Callable[[], list[str]]:
        return account.running


class TestStoreFaultsOfGcp(StoreFaultsContract):
    @pytest.fixture
    def cloud(self, cloud: Cloud) -> Cloud:
        return cloud

    @pytest.fixture
    def lakehouse(self, account: Any) -> GcpLakehouse:
        return GcpLakehouse(**account.place)

    @pytest.fixture
    def compute(self, tmp_path: Path) -> EmbeddedCompute:
        return EmbeddedCompute(cache=str(tmp_path / "cache"))

    @pytest.fixture
    def opened(self, account: Any) -> Callable[[], GcpPredictionLog]:
        return lambda: GcpPredictionLog(**account.place)
