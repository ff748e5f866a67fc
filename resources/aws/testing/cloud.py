"""The stand-ins for Amazon Web Services together: S3, SageMaker, its runtime and its logs; nothing else is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from ml_platform.records.table import Location
from ml_platform.testing.stand_in import Cloud, injector, running
from resources.aws.testing import sagemaker
from resources.aws.testing.account import ACCOUNT, KEYS, REGION, TRAP
from resources.aws.testing.s3 import s3

BUCKET = "ml-platform"


@contextmanager
def cloud() -> Iterator[Cloud]:
    """An account with one empty bucket; everything has ended, and is forgotten, afterwards."""
    with (
        TemporaryDirectory() as told,
        s3(BUCKET) as store,
        running(sagemaker.__name__, store.settings["endpoint_url"], told) as address,
    ):
        environment = {
            **KEYS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            # A service that is not named here is asked there, and nobody answers.
            "AWS_ENDPOINT_URL": TRAP,
            "AWS_ENDPOINT_URL_S3": store.settings["endpoint_url"],
            "AWS_ENDPOINT_URL_SAGEMAKER": address,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": address,
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": address,
            "AWS_EC2_METADATA_DISABLED": "true",
            # What somebody keeps at home is left out of it.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "ML_PLATFORM_AWS_BUCKET": BUCKET,
            "ML_PLATFORM_AWS_ROLE": f"arn:aws:iam::{ACCOUNT}:role/ml-platform",
            "ML_PLATFORM_IMAGE": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml-platform:1",
            "ML_PLATFORM_JOB_RUNNER__POLL_SECONDS": "0.2",
            "ML_PLATFORM_ENDPOINT_HOST__POLL_SECONDS": "0.2",
        }
        inject = injector(address, store.settings["endpoint_url"])
        yield Cloud(environment, inject, (KEYS["AWS_SECRET_ACCESS_KEY"],), (store.objects, Location("", told)))
