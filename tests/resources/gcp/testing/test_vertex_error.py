from __future__ import annotations

from resources.gcp.testing.vertex_error import VertexError


def test_a_refusal_is_a_status_of_googles() -> None:
    error = VertexError("RESOURCE_EXHAUSTED", "Too much.")
    assert error.body == {"error": {"code": 429, "message": "Too much.", "status": "RESOURCE_EXHAUSTED"}}
    # google.rpc.Code: 8 is RESOURCE_EXHAUSTED
    assert (error.status.code, error.status.message) == (8, "Too much.")
