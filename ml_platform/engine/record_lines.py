"""The lines of a prediction log: one served prediction as one line of JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

import orjson

from ml_platform.errors import ServiceError
from ml_platform.records.prediction import ServedPrediction


def encode(record: ServedPrediction) -> bytes:
    """The record as one line; a number that is not finite becomes null."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(record, default=_plain, option=options)


def decode(line: bytes, place: str, number: int) -> ServedPrediction:
    """The record that a line holds. place, number: the file and the line's place in it, for the error."""
    try:
        fields = orjson.loads(line)
        output = math.nan if fields["output"] is None else fields["output"]
        times = {name: datetime.fromisoformat(fields[name]) for name in ("served_at", "event_time")}
        return ServedPrediction(**{**fields, **times, "output": output})
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError(
            f"line {number} of {place} is no record of a prediction, but the log holds nothing else",
            remedy="Restore the file from a copy; the server only ever appends to it",
        ) from error


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
