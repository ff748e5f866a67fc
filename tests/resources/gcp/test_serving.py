from __future__ import annotations

from typing import Any

import pytest

from ml_platform.errors import NotFoundError
from ml_platform.records.endpoint import EndpointSpec
from resources.gcp.endpoint_host import GcpEndpointHost
from resources.gcp.serving import ask, serving
from resources.gcp.vertex_endpoint import VertexEndpoint


def test_what_serves_is_asked_of_the_servers_themselves(account: Any, gcp_spec: EndpointSpec) -> None:
    endpoint = VertexEndpoint(account.vertex, account.prefix, gcp_spec.name, 0.1, 600)
    assert serving(endpoint, 0.1) is None
    with pytest.raises(NotFoundError):
        ask(endpoint, {"describe": True})
    host = GcpEndpointHost(lookup="caller", **account.settings)
    revision = host.deploy(gcp_spec)

    found = serving(endpoint, 0.1)

    assert found is not None
    assert found.revision == revision
    deployed_id, answer = ask(endpoint, {"describe": True})
    assert list(endpoint.traffic()) == [deployed_id]
    assert (answer["number"], answer["fingerprint"]) == (1, found.fingerprints[1])
    assert isinstance(answer["number"], int)
    host.retire(gcp_spec.name)
