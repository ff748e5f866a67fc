from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.aws.testing.s3 import S3, s3
from resources.databricks.testing.served_entity import EntityServer
from resources.databricks.testing.state import State
from resources.databricks.testing.uc_models import object_store


@pytest.fixture(scope="module")
def store() -> Iterator[S3]:
    with s3("lake") as running:
        yield running


def test_a_model_that_cannot_be_loaded_never_becomes_ready_and_says_why(store: S3, tmp_path: Path) -> None:
    # given a version whose files are no model
    state = State(tmp_path, store)
    state.models = type("Models", (), {"location": lambda *_: "s3://lake/broken"})()
    object_store(state).put_object(Bucket="lake", Key="broken/MLmodel", Body=b"flavors: {}\n")
    # when it is served
    server = EntityServer(state, {"entity_name": "a.b.c", "entity_version": "1"})
    # then its server ends, in its own words
    try:
        assert not server.becomes_ready()
        assert "python_function" in server.output()
    finally:
        server.end()
