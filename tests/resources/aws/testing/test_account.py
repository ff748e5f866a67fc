from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml_platform.testing.stand_in import Cloud
from resources.aws.testing.account import Account, offered, page
from resources.aws.testing.service_model import Refusal

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = [
    {"JobName": name, "JobStatus": status, "CreationTime": BEGUN + timedelta(hours=hour)}
    for hour, (name, status) in enumerate([("b-1", "Failed"), ("a-1", "Completed"), ("c-2", "Failed")])
]


@pytest.fixture
def account(cloud: Cloud, tmp_path: Path) -> Account:
    return Account(tmp_path / "home", cloud.environment["AWS_ENDPOINT_URL_S3"])


def listed(**request: Any) -> list[str]:
    return [job["JobName"] for job in page(JOBS, request, "Job")[0]]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({}, ["c-2", "a-1", "b-1"]),
        ({"SortOrder": "Ascending"}, ["b-1", "a-1", "c-2"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["a-1", "b-1", "c-2"]),
        ({"NameContains": "-1"}, ["a-1", "b-1"]),
        ({"StatusEquals": "Failed"}, ["c-2", "b-1"]),
        ({"MaxResults": 2}, ["c-2", "a-1"]),
        ({"MaxResults": 2, "NextToken": "2"}, ["b-1"]),
    ],
)
def test_list_is_what_the_request_asks_for(request_: dict[str, Any], names: list[str]) -> None:
    assert listed(**request_) == names


def test_token_is_given_where_there_is_more() -> None:
    assert page(JOBS, {"MaxResults": 2}, "Job")[1] == {"NextToken": "2"}
    assert page(JOBS, {"MaxResults": 3}, "Job")[1] == {}


def test_tags_are_added_to_those_that_stand(account: Account) -> None:
    arn = account.arn("model", "late")
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:model/late"
    account.tag(arn, [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}])
    account.tag(arn, [{"Key": "b", "Value": "2"}])
    assert account.tags(arn) == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    account.forget(arn)
    with pytest.raises(Refusal, match="does not exist"):
        account.tags(arn)


def test_files_go_to_s3_and_come_back(account: Account, place: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sent" / "deep").mkdir(parents=True)
    (tmp_path / "sent" / "deep" / "a.txt").write_text("a")
    uri = f"s3://{place['bucket']}/{place['prefix']}/files"
    account.upload(tmp_path / "sent", uri)
    assert account.has(uri)
    assert account.download(f"{uri}/", tmp_path / "back") == 1
    assert (tmp_path / "back" / "deep" / "a.txt").read_text() == "a"
    assert account.download(f"{uri}/nothing", tmp_path / "back") == 0


def test_containers_have_folders_of_their_own(account: Account) -> None:
    assert account.folder() != account.folder()


def test_field_that_is_not_offered_is_refused() -> None:
    offered({"Name": "a"}, "Name", "Tags")
    with pytest.raises(Refusal, match="VpcConfig is not offered"):
        offered({"Name": "a", "VpcConfig": {}}, "Name", "Tags")
