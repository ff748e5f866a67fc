from __future__ import annotations

import pytest

from resources.gcp.testing.gcs_objects import GcsError, Objects


def test_a_generation_is_never_given_twice() -> None:
    objects = Objects({"shelf": {}})
    first = objects.put("shelf", "a", b"book", generation=0)
    objects.delete("shelf", "a", generation=first.generation)
    second = objects.put("shelf", "a", b"book", generation=0)
    assert second.generation > first.generation
    with pytest.raises(GcsError, match=f"not at generation {first.generation}") as refused:
        objects.put("shelf", "a", b"other", generation=first.generation)
    assert refused.value.status == 412
    assert objects.get("shelf", "a").content == b"book"


def test_a_listing_goes_on_where_the_last_page_ended() -> None:
    objects = Objects({"shelf": {}})
    for name in ("b/2", "a", "b/1", "c"):
        objects.put("shelf", name, b"")
    page = objects.list("shelf", "", "/", after="", limit=2)
    assert ([found.name for found in page.objects], page.prefixes) == (["a"], ("b/",))
    page = objects.list("shelf", "", "/", after=page.token, limit=2)
    assert ([found.name for found in page.objects], page.prefixes, page.token) == (["c"], (), None)


def test_what_is_not_there_is_an_error() -> None:
    objects = Objects({"shelf": {}})
    for wrong in (
        lambda: objects.get("others", "a"),
        lambda: objects.delete("shelf", "a"),
        lambda: objects.parts("upload-7"),
        lambda: objects.start("others"),
    ):
        with pytest.raises(GcsError):
            wrong()
