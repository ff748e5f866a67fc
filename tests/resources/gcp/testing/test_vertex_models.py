from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from resources.gcp.sdk import Vertex

MODEL = {"display_name": "m", "container_spec": {"image_uri": "image"}, "artifact_uri": "gs://shelf/m"}


def upload(vertex: Vertex, **request: Any) -> Any:
    return vertex.models.upload_model(request={"parent": vertex.parent, "model": MODEL, **request}).result()


def test_a_model_has_versions_and_its_name_means_the_last(vertex: Vertex) -> None:
    first = upload(vertex, model_id="mine")
    second = upload(vertex, parent_model=first.model, model={**MODEL, "artifact_uri": "gs://shelf/n"})
    assert (first.model_version_id, second.model_version_id) == ("1", "2")
    assert vertex.models.get_model(name=first.model).artifact_uri == "gs://shelf/n"
    assert vertex.models.get_model(name=f"{first.model}@1").artifact_uri == "gs://shelf/m"
    assert [found.version_id for found in vertex.models.list_model_versions(name=first.model)] == ["1", "2"]
    assert [found.version_id for found in vertex.models.list_models(parent=vertex.parent)] == ["2"]
    with pytest.raises(exceptions.NotFound):
        vertex.models.get_model(name=f"{first.model}@3")


def test_a_name_is_given_once(vertex: Vertex) -> None:
    upload(vertex, model_id="mine")
    with pytest.raises(exceptions.Conflict, match="already exists"):
        upload(vertex, model_id="mine")


def test_a_deleted_model_is_gone(vertex: Vertex) -> None:
    name = upload(vertex).model
    vertex.models.delete_model(name=name).result()
    with pytest.raises(exceptions.NotFound):
        vertex.models.get_model(name=name)


@pytest.mark.parametrize(
    "request_",
    [
        {"model_id": "Upper"},
        {"model": {**MODEL, "container_spec": {}}},
        {"model": {**MODEL, "artifact_uri": "s3://shelf/m"}},
    ],
)
def test_what_cannot_be_a_model_is_refused(vertex: Vertex, request_: dict[str, Any]) -> None:
    with pytest.raises(exceptions.BadRequest):
        upload(vertex, **request_)
