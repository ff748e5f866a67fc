"""Databricks on loopback: a workspace over an S3, with a catalog, a volume and an external location made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from tempfile import TemporaryDirectory

import httpx

from ml_platform.records.table import Location
from ml_platform.testing.stand_in import Cloud, injector, running
from resources.aws.testing.s3 import s3
from resources.databricks.testing import state, workspace

_CATALOG, _BUCKET = "ml", "lake"


@contextmanager
def cloud() -> Iterator[Cloud]:
    """The stand-ins, holding nothing but what an administrator makes beforehand."""
    with (
        TemporaryDirectory() as folder,
        s3(_BUCKET) as store,
        running(workspace.__name__, folder, json.dumps(asdict(store))) as address,
    ):
        _furnish(address)
        environment = _environment(address, store.settings["region"])
        secrets = (store.environment["AWS_SECRET_ACCESS_KEY"], state.USER_TOKEN, state.JOB_TOKEN, state.LENT)
        inject = injector(address, store.settings["endpoint_url"])
        yield Cloud(environment, inject, secrets, (store.objects, Location("", folder)))


def _furnish(address: str) -> None:
    headers = {"Authorization": f"Bearer {state.USER_TOKEN}"}
    made = {
        "catalogs": {"name": _CATALOG},
        "schemas": {"name": "ml_platform", "catalog_name": _CATALOG},
        "volumes": {
            "name": "ml_platform",
            "catalog_name": _CATALOG,
            "schema_name": "ml_platform",
            "volume_type": "MANAGED",
        },
        "external-locations": {"name": "lake", "url": f"s3://{_BUCKET}/platform", "credential_name": "lake"},
    }
    for kind, body in made.items():
        httpx.post(
            f"{address}/api/2.1/unity-catalog/{kind}", json=body, headers=headers, trust_env=False
        ).raise_for_status()


def _environment(address: str, region: str) -> dict[str, str]:
    return {
        "DATABRICKS_HOST": address,
        "DATABRICKS_TOKEN": state.USER_TOKEN,
        "ML_PLATFORM_DATABRICKS_CATALOG": _CATALOG,
        "ML_PLATFORM_DATABRICKS_LOCATION": f"s3://{_BUCKET}/platform",
        "ML_PLATFORM_DATABRICKS_REGION": region,
        "ML_PLATFORM_IMAGE": "ml_platform:test",
        # The external location lies here, and not at Amazon.
        "AWS_ENDPOINT_URL_S3": address,
        "ML_PLATFORM_JOB_RUNNER__POLL_SECONDS": "0.2",
        "ML_PLATFORM_ENDPOINT_HOST__POLL_SECONDS": "0.2",
    }
