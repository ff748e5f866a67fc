from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from accounts import account, places

from ml_platform.testing.stand_in import Cloud
from resources.aws.testing import cloud as stand_ins


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Cloud]:
    """The stand-ins, one account for every test."""
    with stand_ins.cloud() as cloud:
        yield cloud


@pytest.fixture(scope="session", params=places("aws"))
def aws(request: pytest.FixtureRequest) -> Cloud:
    """The account under test, the stand-ins' or that of whoever runs the tests; each test has a prefix of its own."""
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    return account("aws")


@pytest.fixture
def cloud(aws: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The account, where the SDK of this process finds it."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    return aws


@pytest.fixture
def place(cloud: Cloud) -> dict[str, str]:
    """Bucket, prefix and region of one environment of the account."""
    prefix = f"t{uuid4().hex[:8]}"
    return {"bucket": os.environ["ML_PLATFORM_AWS_BUCKET"], "prefix": prefix, "region": os.environ["AWS_REGION"]}
