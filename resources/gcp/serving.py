"""What an endpoint on Vertex AI really serves, asked of the servers of the models that are deployed to it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import TransientServiceError
from ml_platform.records.endpoint import Revision, TrafficSplit
from resources.gcp import sdk
from resources.gcp.numbers import whole
from resources.gcp.vertex_endpoint import VertexEndpoint

_SETTLE_SECONDS = 60.0  # in which traffic that was moved arrives where it was moved to
_MISSED = 7.0  # e⁻⁷ of all read-backs miss a deployed model by chance alone


@dataclass(frozen=True)
class Serving:
    """What serves: the revision, and of each version with traffic the fingerprint of what its server has loaded.

    deployed: version → id of its deployed model.
    """

    revision: Revision
    fingerprints: Mapping[int, str]
    deployed: Mapping[int, str]


def serving(endpoint: VertexEndpoint, poll_seconds: float) -> Serving | None:
    """What serves: its split as the control plane has it, all else as the servers say; None where nothing has traffic.

    Raises TransientServiceError where a server that has traffic does not answer.
    """
    traffic = endpoint.traffic()
    answers = _answers(endpoint, traffic, poll_seconds)
    if not answers:
        return None
    percent: dict[int, int] = {}
    for one, answer in answers.items():
        percent[_version(answer)] = percent.get(_version(answer), 0) + traffic[one]
    last = max(answers.values(), key=lambda answer: int(answer["number"]))
    revision = Revision(
        endpoint=last["endpoint"],
        number=max(last["number"], endpoint.revision()),
        split=TrafficSplit({int(version): percent.get(int(version), 0) / 100 for version in last["split"]}),
        digests={int(version): digest for version, digest in last["digests"].items()},
        url=endpoint.resource,
        ready=True,
        shadow=last.get("shadow"),
    )
    fingerprints = {_version(answer): answer["fingerprint"] for answer in answers.values()}
    return Serving(revision, fingerprints, {_version(answer): one for one, answer in answers.items()})


def ask(endpoint: VertexEndpoint, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Id of the deployed model that the service drew, and its answer to one V2 body. Raises NotFoundError."""
    predictions = endpoint.vertex.predictions  # the SDK, or the word that it is missing, comes first
    from google.cloud.aiplatform_v1 import PredictRequest, PredictResponse
    from google.protobuf import json_format, struct_pb2

    instance = json_format.ParseDict(body, struct_pb2.Value())
    request = PredictRequest(PredictRequest.pb()(endpoint=endpoint.resource, instances=[instance]))
    answer = sdk.call("aiplatform.endpoints.predict", predictions.predict, request)
    plain = json_format.MessageToDict(PredictResponse.pb(answer))
    return str(answer.deployed_model_id), whole(plain["predictions"][0])


def _answers(endpoint: VertexEndpoint, traffic: Mapping[str, int], poll_seconds: float) -> dict[str, Mapping[str, Any]]:
    """Id of a deployed model that has traffic → what its server says that it serves.

    Which one answers is drawn by the service, so it is asked until all have.
    """
    answers: dict[str, Mapping[str, Any]] = {}
    left = math.ceil(_MISSED * 100 / min(traffic.values(), default=100))
    deadline = time.monotonic() + _SETTLE_SECONDS
    while answers.keys() != traffic.keys():
        left -= 1
        if left < 0:
            if time.monotonic() > deadline:
                raise TransientServiceError(
                    f"{endpoint.resource} has traffic for {sorted(traffic)}, but only {sorted(answers)} answer"
                )
            time.sleep(poll_seconds)
        one, answer = ask(endpoint, {"describe": True})
        # One that had traffic a moment ago may answer still.
        if one in traffic:
            answers[one] = answer
    return answers


def _version(answer: Mapping[str, Any]) -> int:
    return next(int(version) for version, share in answer["split"].items() if share)
