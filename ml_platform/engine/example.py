"""An example request: the latest event that was learned from with every feature known, in the V2 protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from ml_platform.engine import delta
from ml_platform.roles.lakehouse import Lakehouse

_DATATYPES = {"string": "BYTES", "integer": "INT64", "number": "FP64", "boolean": "BOOL"}


def example_request(
    training_set: str, event_time: str, request: Mapping[str, str], lakehouse: Lakehouse
) -> dict[str, Any]:
    """A request that names the event and its moment.

    training_set: asset key. request: column → `string`, `integer`, `number` or `boolean`.
    """
    import polars as pl

    rows = pl.DataFrame(pl.from_arrow(delta.read_rows(delta.existing(lakehouse.table(training_set)))))
    whole = rows.drop_nulls()
    event = (whole if whole.height else rows).sort(event_time).tail(1).to_dicts()[0]
    return request_of([event], event_time, request)


def request_of(rows: Sequence[Mapping[str, Any]], event_time: str, request: Mapping[str, str]) -> dict[str, Any]:
    """The request for those rows, each at its moment. request: column → its type."""
    values = {name: (_DATATYPES[kind], [row[name] for row in rows]) for name, kind in request.items()}
    moments = [row[event_time].astimezone(UTC).isoformat().replace("+00:00", "Z") for row in rows]
    values["event_time"] = ("BYTES", moments)
    inputs = [
        {"name": name, "shape": [len(rows)], "datatype": datatype, "data": data}
        for name, (datatype, data) in values.items()
    ]
    return {"inputs": inputs}
