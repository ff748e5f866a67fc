from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from resources.gcp.sdk import Vertex


def endpoint(vertex: Vertex, **fields: Any) -> str:
    made = vertex.endpoints.create_endpoint(parent=vertex.parent, endpoint={"display_name": "e", **fields})
    return str(made.result().name)


def names(vertex: Vertex, **asked: Any) -> list[str]:
    return [found.name for found in vertex.endpoints.list_endpoints(request={"parent": vertex.parent, **asked})]


def test_a_filter_lets_pass_what_fulfils_all_of_it(vertex: Vertex) -> None:
    one = endpoint(vertex, display_name="one", labels={"a": "1", "b": "2"})
    two = endpoint(vertex, display_name="two", labels={"a": "1"})
    assert names(vertex, filter="labels.a=1") == [two, one]
    assert names(vertex, filter='labels.a="1" AND labels.b="2"') == [one]
    assert names(vertex, filter='display_name="two" AND labels.a=1') == [two]
    assert names(vertex, filter="labels.c=1") == []


def test_a_filter_that_is_not_understood_is_refused(vertex: Vertex) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid filter"):
        names(vertex, filter="colour = red")


def test_pages_have_everything_once(vertex: Vertex) -> None:
    made = [endpoint(vertex) for _ in range(3)]
    assert names(vertex, page_size=2) == made[::-1]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 129}, "display_name"),
        ({"labels": {"Upper": "x"}}, "labels"),
        ({"labels": {"a": "x" * 64}}, "labels"),
    ],
)
def test_a_name_or_label_that_cannot_be_is_refused(vertex: Vertex, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=named):
        endpoint(vertex, **fields)


def test_another_projects_resources_are_not_listed(vertex: Vertex) -> None:
    endpoint(vertex)
    assert list(vertex.endpoints.list_endpoints(parent="projects/other/locations/europe-west4")) == []
