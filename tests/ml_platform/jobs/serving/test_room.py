from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from ml_platform.jobs.serving.room import Room


def test_places_are_given_back_whatever_becomes_of_them() -> None:
    room = Room(2, " of a kind")
    with room, room:
        assert room.taken == 2
        with pytest.raises(HTTPException, match="2 requests of a kind are being answered") as refused, room:
            raise AssertionError
        assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "1"})
        assert room.taken == 2
    with pytest.raises(ZeroDivisionError), room:
        raise ZeroDivisionError
    assert room.taken == 0
