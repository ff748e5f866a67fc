"""The stand-ins for Google Cloud together: Cloud Storage and Vertex AI; nothing else is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from ml_platform.records.table import Location
from ml_platform.testing.stand_in import Cloud, injector
from resources.gcp.testing.gcs import PRIVATE_KEY, gcs
from resources.gcp.testing.vertex import vertex

BUCKET = "ml-platform"
PROJECT = "nobodys-project"
REGION = "europe-west4"
_TOKEN = "nobodys-access-token"  # noqa: S105 - nobody's


@contextmanager
def cloud() -> Iterator[Cloud]:
    """A project with one empty bucket; everything has ended, and is forgotten, afterwards."""
    with TemporaryDirectory() as told, gcs(BUCKET) as store, vertex(store.address, told) as address:
        environment = {
            **store.environment,
            # Google's SDK would look for the metadata server of a machine of Google's.
            "NO_GCE_CHECK": "true",
            # Nobody's, and nothing of ours reads it; a test looks that it is nowhere shown or kept.
            "CLOUDSDK_AUTH_ACCESS_TOKEN": _TOKEN,
            "ML_PLATFORM_GCP_PROJECT": PROJECT,
            "ML_PLATFORM_GCP_REGION": REGION,
            "ML_PLATFORM_GCP_BUCKET": BUCKET,
            "ML_PLATFORM_GCP_SERVICE_ACCOUNT": f"ml-platform@{PROJECT}.iam.gserviceaccount.com",
            "ML_PLATFORM_IMAGE": f"{REGION}-docker.pkg.dev/{PROJECT}/ml-platform/ml-platform:1",
            "ML_PLATFORM_JOB_RUNNER__API_ENDPOINT": address,
            "ML_PLATFORM_JOB_RUNNER__POLL_SECONDS": "0.2",
            "ML_PLATFORM_ENDPOINT_HOST__API_ENDPOINT": address,
            "ML_PLATFORM_ENDPOINT_HOST__POLL_SECONDS": "0.2",
        }
        yield Cloud(
            environment,
            injector(address, store.address),
            (_TOKEN, PRIVATE_KEY),
            (Location("", f"gs://{BUCKET}"), Location("", told)),
        )
