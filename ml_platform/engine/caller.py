"""The caller's side of `lookup: caller`: a plain request, completed with features that its endpoint cannot reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from ml_platform.engine.encoding import spelled
from ml_platform.engine.online import enrich, row_time
from ml_platform.jobs.serving.protocol import read_request
from ml_platform.records.endpoint import EndpointSpec
from ml_platform.roles.feature_store import FeatureStore


def filled(
    spec: EndpointSpec, takes: Mapping[str, str], store: FeatureStore, request: Mapping[str, Any]
) -> dict[str, Any]:
    """The V2 request with features as of each row's moment, and the event times of the rows that they are from.

    takes: what the endpoint takes beside the request → its type, as `online.looked_up` gives it.
    Raises RequestError for a request that is none.
    """
    asked = read_request(orjson.dumps(request), spec.request)
    columns, times = enrich(asked.columns, asked.at, spec.views, store.look_up)
    for view in spec.views:
        columns[row_time(view)] = [_written(time) for time in times[view.name]]
    sent = [_tensor(name, kind, columns[name]) for name, kind in takes.items()]
    return {**request, "inputs": [*request["inputs"], *sent]}


def _tensor(name: str, kind: str, values: Sequence[object]) -> dict[str, Any]:
    datatype = "FP64" if kind == "number" else "BYTES"
    data = [value if value is None or kind == "number" else spelled(value) for value in values]
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": data}


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
