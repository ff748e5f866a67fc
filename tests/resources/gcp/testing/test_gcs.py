from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from resources.gcp.testing.gcs import gcs


def test_both_dialects_see_one_store(client: httpx.Client) -> None:
    client.put("/shelf/both/x%2Fy", content=b"book")
    found = client.get("/storage/v1/b/shelf/o/both%2Fx%2Fy", params={"alt": "media"})
    assert found.content == b"book"


def test_of_many_that_create_one_object_at_once_one_does(client: httpx.Client) -> None:
    def create(number: int) -> int:
        headers = {"x-goog-if-generation-match": "0"}
        return client.put("/shelf/once", content=f"{number}".encode(), headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, range(24)))
    assert answers == [200] + [412] * 23


def test_stand_in_has_ended_and_forgotten_everything_afterwards() -> None:
    with gcs("shelf") as store:
        httpx.put(f"{store.address}/shelf/a", content=b"book")
    with pytest.raises(httpx.ConnectError):
        httpx.get(store.address)
    with gcs("shelf") as store:
        assert httpx.get(f"{store.address}/shelf/a").status_code == 404
