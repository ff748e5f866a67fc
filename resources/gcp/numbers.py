"""Numbers on their way through Vertex AI, which carries each of them as a double: 3 goes in, and 3.0 may come out."""

from __future__ import annotations

from typing import Any


def whole(value: Any) -> Any:
    """The JSON value with every number that is whole as an integer.

    >>> whole({"shape": [2.0], "data": [0.5, 1.0], "name": "wind"})
    {'shape': [2], 'data': [0.5, 1], 'name': 'wind'}
    """
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
