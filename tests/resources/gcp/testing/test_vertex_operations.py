from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.longrunning import operations_pb2

from resources.gcp.sdk import Vertex


def test_an_operation_is_done_some_time_after_it_was_begun(vertex: Vertex) -> None:
    begun = vertex.endpoints.create_endpoint(parent=vertex.parent, endpoint={"display_name": "e"})
    assert begun.operation.name.startswith(f"{vertex.parent}/endpoints/")
    assert not begun.operation.done
    assert begun.result().display_name == "e"
    found = vertex.endpoints.get_operation(operations_pb2.GetOperationRequest(name=begun.operation.name))
    assert found.done


def test_an_operation_that_nobody_began_is_not_found(vertex: Vertex) -> None:
    with pytest.raises(exceptions.NotFound):
        vertex.endpoints.get_operation(operations_pb2.GetOperationRequest(name=f"{vertex.parent}/operations/7"))
