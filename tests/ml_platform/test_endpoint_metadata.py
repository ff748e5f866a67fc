from __future__ import annotations

import shlex

import pytest

from ml_platform import endpoint_metadata
from ml_platform.records.endpoint import Revision, TrafficSplit
from ml_platform.records.feature import PublishedView


@pytest.mark.parametrize(
    ("before", "outcome"), [(None, "revision 2 serves"), (1, "revision 2 serves"), (2, "unchanged")]
)
def test_endpoint_gives_a_command_that_asks_it(before: int | None, outcome: str) -> None:
    def revision(number: int) -> Revision:
        return Revision("late", number, TrafficSplit({4: 1.0}), {4: "d"}, "http://127.0.0.1:1", ready=True)

    views = {"order_v1": PublishedView("abc", 3), "never_v1": None}
    said = endpoint_metadata.of_revision(
        before and revision(before), revision(2), views, {"inputs": ["it's"]}, 0.5, open_to_all=True
    )
    assert said["outcome"] == outcome
    assert said["url"].value == "http://127.0.0.1:1/v2/models/late/infer"
    assert shlex.split(said["ask"]) == ["curl", "-s", said["url"].value, "-d", '{"inputs": ["it\'s"]}']
    assert [row.data for row in said["looks_up"].records] == [{"view": "order_v1", "version": "abc", "rows": 3}]


def test_endpoint_of_a_cloud_is_asked_through_its_host() -> None:
    revision = Revision("late", 2, TrafficSplit({4: 1.0}), {4: "d"}, "https://there/endpoints/late", ready=True)
    said = endpoint_metadata.of_revision(None, revision, {}, {"inputs": []}, 0.5, open_to_all=False)
    assert shlex.split(said["ask"]) == ["ml-platform", "invoke", "late", '{"inputs": []}']
    assert said["url"].value == "https://there/endpoints/late"
