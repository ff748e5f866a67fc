from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from resources.gcp.testing.gcs import gcs


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with gcs("shelf") as store, httpx.Client(base_url=store.address) as client:
        yield client
