from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from ml_platform.binding import Binding
from ml_platform.definitions import build_definitions
from ml_platform.service_resource import ServiceResource
from ml_platform.testing.project import Project

SECRET = "s3cret-canary-42"


def test_resource_hands_out_the_service_itself(shop: Project) -> None:
    resource = ServiceResource.of(shop.services["lakehouse"])
    with dg.build_resources({"lakehouse": resource}) as built:
        assert built.lakehouse.table("silver/orders") == shop.lakehouse.table("silver/orders")


# Taking the snapshot asks every schedule for a property that dagster has deprecated.
@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")
def test_secret_is_shown_as_its_variable_and_never_as_its_value(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a setting that holds a secret, by its variable's name
    monkeypatch.setenv("CANARY", SECRET)
    root = Binding("lakehouse", "embedded", {"root": "/somewhere/${CANARY}"})
    definitions = build_definitions(shop.module, {**shop.services, "lakehouse": root})
    # when the UI reads the repository
    snapshot = serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    # then it sees the name
    assert "${CANARY}" in snapshot
    assert SECRET not in snapshot


def test_unbound_setting_fails_the_run_that_needs_it_and_not_the_definitions(shop: Project) -> None:
    shop.services["lakehouse"] = replace(shop.services["lakehouse"], settings={"root": "${NO_SUCH_VARIABLE}"})
    assert shop.definitions.resolve_asset_graph()
    ran = shop.run('key:"gold/totals"')
    assert not ran.success
    assert not ran.said
