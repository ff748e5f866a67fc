from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from ml_platform.testing.stand_in import injector
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


def test_faults_come_as_often_as_they_were_told_and_only_an_unanswered_write_is_done() -> None:
    with gcs("shelf") as store:
        inject, new = injector("", store.address), {"x-goog-if-generation-match": "0"}
        for fault, status in (("store_throttled", 429), ("store_broken", 500)):
            inject(fault, 1)  # type: ignore[arg-type]
            assert httpx.put(f"{store.address}/shelf/refused", content=b"book", headers=new).status_code == status
        inject("store_unanswered", 1)
        assert httpx.put(f"{store.address}/shelf/written", content=b"book", headers=new).status_code == 500
        found = [httpx.get(f"{store.address}/shelf/{name}").status_code for name in ("refused", "written")]
        assert found == [404, 200]
