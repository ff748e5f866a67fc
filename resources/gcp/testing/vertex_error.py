"""A refusal by Vertex AI, as Google's APIs spell theirs: a `google.rpc.Status`, in JSON."""

from __future__ import annotations

from typing import Any

_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}


class VertexError(Exception):
    """A refusal. code: by its name in `google.rpc.Code`, for instance `NOT_FOUND`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def http(self) -> int:
        """The status of HTTP that goes with the code."""
        return _HTTP[self.code]

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"error": {"code": self.http, "message": str(self), "status": self.code}}

    @property
    def status(self) -> Any:
        """The same as a `google.rpc.Status`, as a job or an operation holds it."""
        from google.rpc import code_pb2, status_pb2

        return status_pb2.Status(code=code_pb2.Code.Value(self.code), message=str(self))
