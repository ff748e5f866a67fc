from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.protos import databricks_uc_registry_messages_pb2 as uc

from resources.aws.testing.s3 import S3, s3
from resources.databricks.testing.protocol import ApiError
from resources.databricks.testing.state import State
from resources.databricks.testing.uc_models import UcModels, object_store

NAME = "ml.late.model"


@pytest.fixture(scope="module")
def store() -> Iterator[S3]:
    with s3("lake") as running:
        yield running


@pytest.fixture
def state(store: S3, tmp_path: Path) -> State:
    return State(tmp_path, store)


@pytest.fixture
def models(state: State) -> UcModels:
    models = UcModels(state)
    models.answer("CreateRegisteredModel", uc.CreateRegisteredModelRequest(name=NAME))
    return models


def added(models: UcModels, state: State) -> Any:
    version = models.answer("CreateModelVersion", uc.CreateModelVersionRequest(name=NAME, source="x"))["model_version"]
    bucket, _, key = version.storage_location.removeprefix("s3://").partition("/")
    object_store(state).put_object(Bucket=bucket, Key=f"{key}/MLmodel", Body=b"")
    return version


@pytest.mark.parametrize("name", ["late", "a.b", "a.b.", "a.b.c d", "a.b.c/d"])
def test_a_name_has_three_levels(models: UcModels, name: str) -> None:
    with pytest.raises(ApiError, match="specify all three levels"):
        models.answer("CreateRegisteredModel", uc.CreateRegisteredModelRequest(name=name))


def test_a_name_is_taken_once(models: UcModels) -> None:
    with pytest.raises(ApiError, match="already exists"):
        models.answer("CreateRegisteredModel", uc.CreateRegisteredModelRequest(name=NAME))


def test_a_version_is_ready_once_its_files_are_there_and_cannot_be_written_then(models: UcModels, state: State) -> None:
    empty = models.answer("CreateModelVersion", uc.CreateModelVersionRequest(name=NAME, source="x"))["model_version"]
    with pytest.raises(ApiError, match="has no MLmodel file"):
        models.answer("FinalizeModelVersion", uc.FinalizeModelVersionRequest(name=NAME, version=empty.version))
    version = added(models, state).version
    models.answer("FinalizeModelVersion", uc.FinalizeModelVersionRequest(name=NAME, version=version))
    assert models.location(NAME, version).startswith("s3://lake/")
    asked = uc.GenerateTemporaryModelVersionCredentialsRequest(name=NAME, version=version)
    asked.operation = uc.MODEL_VERSION_OPERATION_READ_WRITE
    with pytest.raises(ApiError, match="cannot be written"):
        models.answer("GenerateTemporaryModelVersionCredentials", asked)


def test_lent_credentials_open_one_version_only(models: UcModels, state: State) -> None:
    version = added(models, state)
    asked = uc.GenerateTemporaryModelVersionCredentialsRequest(name=NAME, version=version.version)
    models.answer("GenerateTemporaryModelVersionCredentials", asked)
    (grant,) = state.grants.values()
    assert (f"s3://{grant.prefix}", grant.write) == (version.storage_location, False)


def test_numbers_go_on_after_a_version_is_deleted(models: UcModels, state: State) -> None:
    first = added(models, state)
    models.answer("DeleteModelVersion", uc.DeleteModelVersionRequest(name=NAME, version=first.version))
    assert added(models, state).version == "2"


def test_a_search_leaves_out_tags_and_pages(models: UcModels, state: State) -> None:
    versions = [added(models, state) for _ in range(3)]
    for version in versions:
        tag = uc.SetModelVersionTagRequest(name=NAME, version=version.version, key="a", value="b")
        models.answer("SetModelVersionTag", tag)
    asked = uc.SearchModelVersionsRequest(filter=f"name='{NAME}'", max_results=2)
    page = models.answer("SearchModelVersions", asked)
    assert [(v.version, len(v.tags)) for v in page["model_versions"]] == [("1", 0), ("2", 0)]
    asked.page_token = page["next_page_token"]
    rest = models.answer("SearchModelVersions", asked)
    assert ([v.version for v in rest["model_versions"]], rest["next_page_token"]) == (["3"], "")


@pytest.mark.parametrize(("key", "value"), [("a.b", "1"), ("", "1"), ("a", "x" * 1001), ("k" * 256, "1")])
def test_a_tag_keeps_the_catalogs_limits(models: UcModels, key: str, value: str) -> None:
    with pytest.raises(ApiError, match=r"[Tt]ag"):
        models.answer("SetRegisteredModelTag", uc.SetRegisteredModelTagRequest(name=NAME, key=key, value=value))


def test_an_alias_names_one_version(models: UcModels, state: State) -> None:
    for _ in range(2):
        version = added(models, state).version
        models.answer(
            "SetRegisteredModelAlias", uc.SetRegisteredModelAliasRequest(name=NAME, alias="champion", version=version)
        )
    asked = uc.GetModelVersionByAliasRequest(name=NAME, alias="champion")
    assert models.answer("GetModelVersionByAlias", asked)["model_version"].version == "2"
    first = models.answer("GetModelVersion", uc.GetModelVersionRequest(name=NAME, version="1"))["model_version"]
    assert list(first.aliases) == []


def test_what_is_not_there_is_not_found(models: UcModels) -> None:
    with pytest.raises(ApiError, match="does not exist") as refused:
        models.answer("GetModelVersion", uc.GetModelVersionRequest(name=NAME, version="9"))
    assert (refused.value.status, refused.value.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    with pytest.raises(ApiError, match="not part of this stand-in"):
        models.answer("EmitModelVersionLineage", uc.EmitModelVersionLineageRequest())
