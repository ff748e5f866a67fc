from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ml_platform.errors import ServiceError, TransientServiceError
from ml_platform.records.endpoint import EndpointSpec
from resources.aws.bucket import Bucket
from resources.aws.revisions import Revisions


@pytest.fixture
def revisions(place: dict[str, str]) -> Revisions:
    return Revisions(Bucket(place["bucket"], place["region"]), place["prefix"])


def test_a_number_is_given_once(revisions: Revisions) -> None:
    assert revisions.next("late") == 1
    revisions.claim("late", 1)
    with pytest.raises(TransientServiceError, match=r"revision 1 of endpoint late .* somebody else just began to"):
        revisions.claim("late", 1)
    assert (revisions.next("late"), revisions.next("early")) == (2, 1)


def test_a_bundle_is_found_again_by_its_number_and_part(revisions: Revisions, spec: EndpointSpec) -> None:
    called = replace(spec, lookup="caller")
    (uri,) = revisions.upload("late", 1, {"all": called}).values()
    assert uri.endswith("/endpoints/late/1/all/")
    found = revisions.spec("late", 1, "all")
    assert (found["name"], found["revision"], found["packages"]) == (spec.name, 1, {"1": "packages/1"})


def test_what_cannot_be_served_takes_no_number(revisions: Revisions, spec: EndpointSpec, tmp_path: Path) -> None:
    Path(spec.packages[1], "rate.json").write_text("{")
    with pytest.raises(ServiceError, match="cannot be served, so it is not deployed"):
        revisions.upload("late", 1, {"all": replace(spec, lookup="caller")})
    assert revisions.next("late") == 1
