from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from ml_platform.engine.hosting import IDLE, SHADOW, cannot, require_able
from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit

_NONE = ServiceBinding("", "")
_SPEC = EndpointSpec("delay", {1: "a"}, TrafficSplit({1: 1.0}), {"flight_id": "string"}, (), _NONE, _NONE)
_BOTH = replace(_SPEC, packages={1: "a", 2: "b"}, split=TrafficSplit({1: 1.0, 2: 0.0}))


class _Plain:
    CANNOT: ClassVar[frozenset[str]] = frozenset({SHADOW, IDLE})


class _Shadowless:
    CANNOT: ClassVar[frozenset[str]] = frozenset({SHADOW})


def test_host_that_names_nothing_does_everything() -> None:
    assert cannot(object()) == frozenset()
    require_able(replace(_BOTH, shadow=2), object())


def test_what_a_host_cannot_do_is_refused_by_name() -> None:
    require_able(_SPEC, _Plain())
    require_able(_BOTH, _Shadowless())
    with pytest.raises(ServiceError, match="endpoint delay asks for idle"):
        require_able(_BOTH, _Plain())
    with pytest.raises(ServiceError, match=r"asks for shadow .*such as embedded"):
        require_able(replace(_BOTH, shadow=2), _Shadowless)
