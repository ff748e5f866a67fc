"""Reading a body's tensors. What is refused, and by which words, is in `test_protocol.py`."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from ml_platform.jobs.serving.tensors import RequestError, check_most_rows, checked_columns, datatype, plain_columns

WANTED = {"event_time": "string", "flight_id": "string", "seats": "integer", "fare": "number", "meal": "boolean"}
GOOD = {"event_time": "noon", "flight_id": "UA1", "seats": 180, "fare": 99.5, "meal": True}
SENT = {"integer": "INT32", "number": "FP32"}
# What a client may get wrong, in any place of a body.
ODD: tuple[Any, ...] = (
    None, True, 0, 1, 2, -1, 1.0, 2.0, 1e999, 2**31, 2**63, "", "1", "UA1", "seats", "FP64", "INT64", "BYTES",
    [], [0], [1], [2], [True], [1.0], ["1"], [1, 1], [None], [[1]], [{}], {}, {"1": 1}, {"name": "seats"},
)  # fmt: skip


def tensors(rows: int = 1) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [rows],
            "datatype": SENT.get(kind, datatype(kind)),
            "data": [GOOD[name]] * rows,
        }
        for name, kind in WANTED.items()
    ]


def paths(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [path, *(found for key, value in inner for found in paths(value, (*path, key)))]


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    body[path[0]] = replaced(body[path[0]], path[1:], value)
    return body


def removed(body: Any, path: tuple[Any, ...]) -> Any:
    whole = body
    for key in path[:-1]:
        body = body[key]
    del body[path[-1]]
    return whole


def checked(body: Any) -> Any:
    try:
        return checked_columns(body, WANTED, ())
    except RequestError:
        return None


@pytest.mark.parametrize("rows", [1, 3])
def test_good_tensors_are_read_at_once(rows: int) -> None:
    columns = {name: [value] * rows for name, value in GOOD.items()}
    assert plain_columns(tensors(rows), WANTED) == columns == checked_columns(tensors(rows), WANTED, ())
    assert plain_columns(tensors(rows)[::-1], WANTED) == columns


def test_null_is_taken_where_it_may_be() -> None:
    body = tensors()
    body[3]["data"] = [None]
    assert plain_columns(body, WANTED) is None
    assert checked_columns(body, WANTED, {"fare"})["fare"] == [None]


def test_tensor_of_more_rows_than_a_request_may_have_is_named() -> None:
    check_most_rows(tensors(3), 3)
    body = tensors(2)
    body[2]["data"] = [180] * 4
    with pytest.raises(RequestError, match='input "seats" has 4 rows, but a request may have 3'):
        check_most_rows(body, 3)
    for odd in ODD:
        for path in paths(tensors()):
            check_most_rows(replaced(tensors(), path, copy.deepcopy(odd)), 2)


def test_quick_reading_takes_nothing_that_the_careful_one_refuses() -> None:
    """One place of a body is odd, each in turn, then two at once."""
    bodies = [
        replaced(tensors(rows), path, copy.deepcopy(odd))
        for rows in (1, 2)
        for path in paths(tensors(rows))
        for odd in ODD
    ]
    bodies += [removed(tensors(), path) for path in paths(tensors()) if path]
    bodies += [[*tensors(), tensor] for tensor in (*tensors(), *ODD)]
    draw = random.Random(7)  # noqa: S311 # not a secret
    for _ in range(5000):
        body = copy.deepcopy(draw.choice(bodies))
        bodies.append(replaced(body, draw.choice(paths(body)), copy.deepcopy(draw.choice(ODD))))
    taken = 0
    for body in bodies:
        quick, careful = plain_columns(body, WANTED), checked(body)
        if quick is not None:
            # As text, for 1, 1.0 and True are equal.
            assert careful is not None, body
            assert repr({name: quick[name] for name in WANTED}) == repr(careful), body
            taken += 1
    assert 100 < taken < len(bodies) - 1000
