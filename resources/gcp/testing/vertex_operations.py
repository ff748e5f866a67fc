"""Long-running operations: what Vertex AI answers at once for what it does afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from resources.gcp.testing.vertex_error import VertexError
from resources.gcp.testing.vertex_resources import copied, found


class Operations:
    """Every operation that was begun, done or not."""

    def __init__(self) -> None:
        self._operations: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, of: str, metadata: Message, work: Awaitable[Message]) -> Any:
        """The operation as it stands at its beginning. of: the resource's name; work: gives the response."""
        operation = operations_pb2.Operation(name=f"{of}/operations/{len(self._operations) + 1}")
        operation.metadata.Pack(metadata)
        self._operations[operation.name] = operation
        task = asyncio.get_running_loop().create_task(self._finish(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return copied(operation)

    async def get_operation(self, request: Any) -> Message:
        """The operation as it stands now."""
        return copied(found(self._operations, request.name))

    async def _finish(self, operation: Any, work: Awaitable[Message]) -> None:
        try:
            operation.response.Pack(await work)
        except VertexError as error:
            operation.error.CopyFrom(error.status)
        operation.done = True
