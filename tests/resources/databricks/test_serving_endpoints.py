from __future__ import annotations

import pytest

from ml_platform.errors import BindingError, ServiceError
from ml_platform.records.job import Needs
from resources.databricks.serving_endpoints import Entity, ServingEndpoints, workload_size
from resources.databricks.workspace import Workspace


@pytest.mark.parametrize(
    ("needs", "size"),
    [(Needs(1, 2), "Small"), (Needs(4, 16), "Small"), (Needs(4, 17), "Medium"), (Needs(17, 1), "Large")],
)
def test_the_smallest_size_that_fits_is_taken(needs: Needs, size: str) -> None:
    assert workload_size(needs) == size


@pytest.mark.parametrize("needs", [Needs(65, 1), Needs(1, 257), Needs(1, 1, "gpu")])
def test_what_no_size_has_is_refused(needs: Needs) -> None:
    with pytest.raises(ServiceError, match="The largest, Large, has 64 cores"):
        workload_size(needs)


def test_a_secret_is_a_reference() -> None:
    ServingEndpoints(Workspace(), "test", {"DATABRICKS_TOKEN": "{{secrets/scope/key}}", "REGION": "eu"}, 1, 1)
    with pytest.raises(BindingError, match="looks like a secret"):
        ServingEndpoints(Workspace(), "test", {"API_KEY": "canary"}, 1, 1)


def test_a_name_that_is_too_long_is_told_before_anything_is_made(catalog: str) -> None:
    endpoints = ServingEndpoints(Workspace(), "test", {}, 1, 0.1)
    with pytest.raises(ServiceError, match="64 characters, but Databricks takes 63"):
        endpoints.configure(
            "e" * 64, [Entity("v1", f"{catalog}.ml_platform.none", "1", 100, "Small", scale_to_zero=False)]
        )


def test_a_model_that_is_not_there_is_the_services_own_error(catalog: str, prefix: str) -> None:
    endpoints = ServingEndpoints(Workspace(), prefix, {}, 1, 0.1)
    with pytest.raises(Exception, match="does not exist"):
        endpoints.configure(f"{prefix}-late", [Entity("v1", f"{catalog}.ml_platform.none", "1", 100, "Small", False)])
    assert endpoints.find(f"{prefix}-late") is None
    endpoints.delete(f"{prefix}-late")
