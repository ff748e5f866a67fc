from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/ml-platform"


def test_what_is_declared_stands_once_and_is_listed_until_it_is_deleted(
    sagemaker: Any, place: dict[str, str], store: Any
) -> None:
    name = place["prefix"]
    source = {"S3Uri": store("bundle/endpoint.json", {}), "S3DataType": "S3Prefix", "CompressionType": "None"}
    model = {
        "ModelName": name,
        "PrimaryContainer": {"Image": "ml-platform:1", "ModelDataSource": {"S3DataSource": source}},
        "ExecutionRoleArn": ROLE,
    }
    arn = sagemaker.create_model(**model, Tags=[{"Key": "a", "Value": "b"}])["ModelArn"]
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sagemaker.create_model(**model)
    assert [one["ModelName"] for one in sagemaker.list_models(NameContains=name)["Models"]] == [name]
    assert sagemaker.describe_model(ModelName=name)["PrimaryContainer"] == model["PrimaryContainer"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    sagemaker.delete_model(ModelName=name)
    assert sagemaker.list_models(NameContains=name)["Models"] == []
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=name)
