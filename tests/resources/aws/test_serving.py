from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml_platform.errors import NotFoundError
from ml_platform.records.endpoint import Revision, ServiceBinding, TrafficSplit
from ml_platform.testing.endpoint_host import endpoint_spec
from resources.aws.serving import Serving, digests_of, parts, same

NOWHERE = ServiceBinding("nowhere", "Nothing")
SPEC = endpoint_spec({1: Path("one"), 2: Path("two")}, NOWHERE, NOWHERE)


def test_each_version_answers_alone_and_the_shadow_listens_to_the_others() -> None:
    found = parts(replace(SPEC, split=TrafficSplit({1: 1.0, 2: 0.0}), shadow=2))
    assert {version: (part.split.shares, part.shadow) for version, part in found.items()} == {
        1: ({1: 1.0}, 2),
        2: ({2: 1.0}, None),
    }
    assert {tuple(part.packages) for part in found.values()} == {(1, 2)}


def test_what_serves_is_compared_to_the_sixth_digit() -> None:
    revision = Revision("x", 1, TrafficSplit({1: 0.95, 2: 0.05}), {}, "", ready=True)
    serving = Serving(revision, {"v1": "a", "v2": "b"})
    assert same(serving, {"v1": "a", "v2": "b"}, {1: 0.949_999_9, 2: 0.050_000_1})
    assert not same(serving, {"v1": "a", "v2": "b"}, {1: 0.94, 2: 0.06})
    assert not same(serving, {"v1": "a", "v2": "c"}, {1: 0.95, 2: 0.05})


def test_package_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="package of version 1 is to be at one"):
        digests_of(SPEC)
