from __future__ import annotations

import sys
from typing import Any

import pytest
from accounts import stand_ins_only

from ml_platform.errors import BindingError, NotFoundError, RefusedError, ServiceError, TransientServiceError
from ml_platform.testing.stand_in import Cloud
from resources.databricks import workspace
from resources.databricks.workspace import Workspace


def catalogs(of: Workspace) -> list[str]:
    found = of.ask("catalogs/list", "USE CATALOG", lambda client: list(client.catalogs.list()))
    return [str(one.name) for one in found]


@stand_ins_only("databricks")
@pytest.mark.parametrize("fault", ["throttled", "broken"])
def test_a_short_outage_is_sat_out(fault: Any, cloud: Cloud, catalog: str) -> None:
    cloud.inject(fault, 2)
    assert catalog in catalogs(Workspace())


@stand_ins_only("databricks")
def test_a_long_outage_is_told_as_one_that_passes(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_FIRST_PAUSE_SECONDS", 0.0)
    cloud.inject("broken", 4)
    with pytest.raises(TransientServiceError, match="catalogs/list is asked of Databricks, but the service"):
        catalogs(Workspace())


@stand_ins_only("databricks")
def test_refused_credentials_name_the_call_and_the_permission(cloud: Cloud) -> None:
    cloud.inject("expired", 1)
    with pytest.raises(RefusedError, match="catalogs/list is refused") as refused:
        catalogs(Workspace())
    assert "It takes credentials that have not expired and USE CATALOG" in str(refused.value)
    assert cloud.environment["DATABRICKS_TOKEN"] not in str(refused.value)


def test_what_is_not_there_and_what_cannot_be_are_told_apart(cloud: Cloud) -> None:
    with pytest.raises(NotFoundError, match="but Databricks does not have it"):
        Workspace().ask("catalogs/get", "", lambda client: client.catalogs.get("nobodys"))
    with pytest.raises(ServiceError, match="but failed") as failed:
        Workspace().do("POST", "/api/2.1/unity-catalog/tables", "", {"nmae": "a"})
    assert "Unknown field: nmae" in str(failed.value)


def test_no_workspace_named_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BindingError, match="no Databricks workspace can be reached from here"):
        _ = Workspace().client


def test_a_missing_sdk_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databricks.sdk", None)
    with pytest.raises(BindingError, match=r"pip install -e '.\[databricks\]'"):
        _ = Workspace().client
