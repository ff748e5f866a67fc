from __future__ import annotations

import pytest

from ml_platform.errors import ServiceError, TransientServiceError
from resources.aws.runtime import Runtime, _refused, not_served


@pytest.mark.parametrize(
    ("status", "text", "kind", "said"),
    [
        (400, '{"error": "input carrier is missing"}', ServiceError, "is 400, .*: input carrier is missing"),
        (503, '{"error": "it is loading"}', TransientServiceError, "is 503, .*: it is loading"),
        (500, "a page of some proxy", ServiceError, "is 500, .*: a page of some proxy"),
        (500, "[1]", ServiceError, r"is 500, .*: \[1\]"),
    ],
)
def test_a_containers_refusal_is_told_in_its_own_words(
    status: int, text: str, kind: type[ServiceError], said: str
) -> None:
    with pytest.raises(kind, match=f"the answer of endpoint late {said}") as found:
        raise _refused("late", {"OriginalStatusCode": status, "OriginalMessage": text})
    assert type(found.value) is kind


def test_what_is_not_served_says_what_to_materialize() -> None:
    assert "Materialize endpoints/late" in str(not_served("late"))


def test_an_endpoints_address_is_the_clients_own(place: dict[str, str]) -> None:
    runtime = Runtime(place["region"])
    assert runtime.url("x").endswith("/endpoints/x/invocations")
    assert runtime.url("x").startswith("http")
