from __future__ import annotations

import sys
from typing import Any

import pytest
from accounts import stand_ins_only

from ml_platform.errors import BindingError, NotFoundError, RefusedError, ServiceError, TransientServiceError
from resources.gcp import sdk

LIST = "aiplatform.customJobs.list"


def listed(account: Any) -> list[Any]:
    vertex = account.vertex
    return list(sdk.call(LIST, vertex.jobs.list_custom_jobs, parent=vertex.parent))


@stand_ins_only("gcp")
def test_a_call_is_made_again_while_the_service_is_busy(account: Any) -> None:
    account.cloud.inject("throttled", 1)
    account.cloud.inject("broken", 1)
    assert isinstance(listed(account), list)


@stand_ins_only("gcp")
def test_a_service_that_stays_busy_is_told_as_passing(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_TRY_SECONDS", 0.5)
    account.cloud.inject("throttled", 1000)
    with pytest.raises(TransientServiceError, match=rf"{LIST} fails at Google Cloud.*Quota exceeded"):
        listed(account)
    account.cloud.inject("throttled", 0)


@stand_ins_only("gcp")
def test_expired_credentials_are_told_with_the_permission_that_is_needed(account: Any) -> None:
    account.cloud.inject("expired", 1000)
    with pytest.raises(RefusedError, match=rf"credentials that are valid now and have the permission {LIST}"):
        listed(account)
    account.cloud.inject("expired", 0)


def test_what_is_not_there_and_what_is_malformed_are_told_apart(account: Any) -> None:
    vertex = account.vertex
    with pytest.raises(NotFoundError, match="customJobs/1"):
        sdk.call("aiplatform.customJobs.get", vertex.jobs.get_custom_job, name=f"{vertex.parent}/customJobs/1")
    with pytest.raises(ServiceError, match=r"is refused by Google Cloud, but is needed: .*Invalid filter"):
        sdk.call(LIST, vertex.jobs.list_custom_jobs, parent=vertex.parent, filter="whatever")


def test_nobody_at_the_address_is_told_as_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_TRY_SECONDS", 0.3)
    vertex = sdk.Vertex("p", "europe-west4", "http://127.0.0.1:9")
    with pytest.raises(TransientServiceError):
        sdk.call(LIST, vertex.jobs.list_custom_jobs, parent=vertex.parent)


def test_a_missing_sdk_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(BindingError, match=r"pip install -e '.\[gcp\]'"):
        _ = sdk.Vertex("p", "europe-west4").jobs


def test_without_an_address_it_is_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sdk.Vertex("p", "us-east1")._api_endpoint == "https://us-east1-aiplatform.googleapis.com"
