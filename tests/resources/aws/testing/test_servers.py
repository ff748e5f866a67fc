from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from ml_platform.testing.container import Container
from resources.aws.testing.servers import Server, chosen
from resources.aws.testing.service_model import Refusal

NOT_RUNNING = cast("Container", None)
SERVERS = [Server(name, weight, NOT_RUNNING, "http://127.0.0.1:1") for name, weight in (("a", 9.0), ("b", 1.0))]


def test_traffic_goes_by_the_weights() -> None:
    found = Counter(chosen(SERVERS, None).variant for _ in range(2000))
    # 200 expected, with a standard deviation of 13.4; six of them on either side.
    assert 120 < found["b"] < 280


def test_variant_of_no_weight_is_answered_by_only_where_it_is_asked_for() -> None:
    servers: list[Any] = [*SERVERS, Server("shadow", 0.0, NOT_RUNNING, "http://127.0.0.1:1")]
    assert "shadow" not in {chosen(servers, None).variant for _ in range(200)}
    assert chosen(servers, "shadow").variant == "shadow"


def test_variant_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="Variant c not found for Request"):
        chosen(SERVERS, "c")


def test_container_that_does_not_answer_is_an_error_of_the_model() -> None:
    assert SERVERS[0].answer(b"{}", {}).status_code == 500
