from __future__ import annotations

import httpx
import pytest

from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_routes import parse, routes

PARENT = "projects/p/locations/l"


def test_every_method_of_the_four_services_has_a_route() -> None:
    known = {route.rpc for route in routes()}
    assert {"CreateCustomJob", "UploadModel", "DeployModel", "UndeployModel", "Predict", "GetOperation"} <= known
    assert {"CreateBatchPredictionJob", "RawPredict"} <= known


def test_path_query_and_body_come_together_in_the_request() -> None:
    rpc, request = parse(
        "PATCH",
        f"/v1/{PARENT}/endpoints/7",
        [("updateMask", "trafficSplit"), ("$alt", "json;enum-encoding=int")],
        b'{"trafficSplit": {"1": 100}}',
    )
    assert rpc == "UpdateEndpoint"
    assert request.endpoint.name == f"{PARENT}/endpoints/7"
    assert dict(request.endpoint.traffic_split) == {"1": 100}
    assert list(request.update_mask.paths) == ["traffic_split"]


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "code"),
    [
        ("GET", f"/v1/{PARENT}/nothings", [], b"", "NOT_FOUND"),
        ("PUT", f"/v1/{PARENT}/endpoints", [], b"{}", "NOT_FOUND"),
        ("GET", f"/v1/{PARENT}/endpoints", [("colour", "red")], b"", "INVALID_ARGUMENT"),
        ("GET", f"/v1/{PARENT}/endpoints", [("pageSize", "many")], b"", "INVALID_ARGUMENT"),
        ("GET", f"/v1/{PARENT}/endpoints", [], b'{"a": 1}', "INVALID_ARGUMENT"),
        ("POST", f"/v1/{PARENT}/endpoints", [], b'{"colour": "red"}', "INVALID_ARGUMENT"),
        ("POST", f"/v1/{PARENT}/endpoints", [], b'{"displayName": 7}', "INVALID_ARGUMENT"),
        ("POST", f"/v1/{PARENT}/endpoints", [], b"no json", "INVALID_ARGUMENT"),
        ("POST", f"/v1/{PARENT}/customJobs", [], b'{"state": "JOB_STATE_ASLEEP"}', "INVALID_ARGUMENT"),
    ],
)
def test_what_the_api_has_not_is_refused(
    method: str, path: str, query: list[tuple[str, str]], body: bytes, code: str
) -> None:
    with pytest.raises(VertexError) as refused:
        parse(method, path, query, body)
    assert refused.value.code == code


def test_a_method_that_is_not_served_says_so(raw: httpx.Client) -> None:
    answer = raw.get("/batchPredictionJobs")
    assert (answer.status_code, answer.json()["error"]["status"]) == (501, "UNIMPLEMENTED")
