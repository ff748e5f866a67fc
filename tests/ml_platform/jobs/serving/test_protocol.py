from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from ml_platform.jobs.serving.protocol import InferRequest, read_request, together
from ml_platform.jobs.serving.tensors import RequestError

TYPES = {"flight_id": "string", "seats": "integer", "fare": "number", "meal": "boolean"}


def tensor(name: str, datatype: str, *data: object, **more: object) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data), **more}


def tensors(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """One good row, with tensors of it replaced."""
    good = {
        "flight_id": tensor("flight_id", "BYTES", "UA1"),
        "event_time": tensor("event_time", "BYTES", "2013-12-30T21:00:00Z"),
        "seats": tensor("seats", "INT64", 180),
        "fare": tensor("fare", "FP64", 99.5),
        "meal": tensor("meal", "BOOL", True),
    }
    return list({**good, **changes}.values())


def read(inputs: object, **more: object) -> Any:
    return read_request(orjson.dumps({"inputs": inputs, **more}), TYPES)


def test_good_request_is_read_as_columns_and_moments() -> None:
    request = read(tensors(), id="mine", parameters={"anything": 1}, outputs=[{"name": "probability"}])
    assert request.id == "mine"
    assert request.columns == {"flight_id": ["UA1"], "seats": [180], "fare": [99.5], "meal": [True]}
    assert request.at == [datetime(2013, 12, 30, 21, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2013-12-30T16:00:00-05:00", "2013-12-30 21:00:00+00:00", "2013-12-31T02:30+05:30"])
def test_moment_may_have_any_offset(text: str) -> None:
    assert read(tensors(event_time=tensor("event_time", "BYTES", text))).at == [datetime(2013, 12, 30, 21, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    [
        *("2013-12-30T21:00:00", "2013-12-30", "", "tomorrow", "2013-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00"),
        *("1899-12-31T00:00:00Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        *("1900-01-01T00:00:00+00:01", "2199-12-31T23:59:59-00:01"),
    ],
)
def test_text_that_names_no_moment_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"input 'event_time' is .* in row 0, but that names no moment"):
        read(tensors(event_time=tensor("event_time", "BYTES", text)))


@pytest.mark.parametrize("text", ["1899-12-31T23:59:00-00:01", "2200-01-01T00:00:00+00:01"])
def test_year_of_a_moment_is_that_of_utc(text: str) -> None:
    assert read(tensors(event_time=tensor("event_time", "BYTES", text))).at[0].year in (1900, 2199)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"3", b'{"inputs": NaN}', b"[" * 5000]
)
def test_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match="the body is"):
        read_request(body, TYPES)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "inputs is null"),
        ([], "inputs is"),
        ({}, "inputs is an object"),
        (["flight_id"], 'an input is "flight_id"'),
        ([{"shape": [1]}], "an input is an object, but it is an object with a name"),
        ([[[[[]]]]], "an input is a list of 1"),
        (tensors()[1:], "input 'flight_id' is missing"),
        (tensors()[:1], "input 'event_time' is missing"),
        ([*tensors(), tensors()[0]], "input 'flight_id' is given twice"),
        ([*tensors(), tensor("seat", "INT64", 1)], "input 'seat' is given.*Did you mean seats"),
        (tensors(flight_id=tensor("flight_id", "INT64", 1)), "input 'flight_id' has datatype \"INT64\".*is BYTES"),
        (tensors(flight_id={"name": "flight_id"}), "input 'flight_id' has datatype null"),
        (tensors(seats=tensor("seats", "FP64", 1.0)), "input 'seats' has datatype \"FP64\""),
        (tensors(seats=tensor("seats", ["INT64"], 1)), "input 'seats' has datatype \\[\"INT64\"\\]"),
        (tensors(seats=tensor("seats", "INT64", 1, shape=[2])), "input 'seats' has data of 1 values.*says 2"),
        (tensors(seats=tensor("seats", "INT64", 1, shape=[1, 1])), r"input 'seats' has shape \[1,1\]"),
        (tensors(seats=tensor("seats", "INT64", shape=[0])), r"input 'seats' has shape \[0\]"),
        (tensors(seats=tensor("seats", "INT64", 1, shape=[True])), r"input 'seats' has shape \[true\]"),
        (tensors(seats=tensor("seats", "INT64", 1, shape="1")), "input 'seats' has shape \"1\""),
        (tensors(seats=tensor("seats", "INT64", 1, data={"0": 1})), "input 'seats' has data of an object"),
        (tensors(seats=tensor("seats", "INT64", 1, 2)), r"input 'seats' has shape \[2\], but event_time has \[1\]"),
        (tensors(seats=tensor("seats", "INT64", "1")), "input 'seats' is \"1\" in row 0, but that is no INT64"),
        (tensors(seats=tensor("seats", "INT64", True)), "input 'seats' is true in row 0"),
        (tensors(seats=tensor("seats", "INT64", None)), "input 'seats' is null in row 0"),
        (tensors(seats=tensor("seats", "INT64", 2**63)), "input 'seats' is 9223372036854775808 in row 0"),
        (tensors(seats=tensor("seats", "INT8", 128)), "input 'seats' is 128 in row 0, but that is no INT8"),
        (tensors(seats=tensor("seats", "INT64", [1])), "input 'seats' is \\[1\\] in row 0"),
        (tensors(fare=tensor("fare", "FP64", "9")), "input 'fare' is \"9\" in row 0"),
        (tensors(fare=tensor("fare", "FP64", None)), "input 'fare' is null in row 0"),
        (tensors(meal=tensor("meal", "BOOL", 1)), "input 'meal' is 1 in row 0, but that is no BOOL"),
        (tensors(flight_id=tensor("flight_id", "BYTES", 7)), "input 'flight_id' is 7 in row 0"),
        (tensors(flight_id=tensor("flight_id", "BYTES", {"a": 1})), "input 'flight_id' is an object in row 0"),
    ],
)
def test_bad_input_is_refused_by_its_name(inputs: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(inputs)


def test_number_too_large_for_any_datatype_is_refused() -> None:
    body = orjson.dumps({"inputs": tensors()}).replace(b"180", b"1" * 40)
    with pytest.raises(RequestError, match=r"input 'seats' is 1\.1"):
        read_request(body, TYPES)


def test_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(RequestError) as refusal:
        read(tensors(event_time=tensor("event_time", "BYTES", "x" * 100_000)))
    assert len(str(refusal.value)) < 300


def test_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(RequestError, match="id is 7, but it is a text"):
        read(tensors(), id=7)


@pytest.mark.parametrize(
    "outputs", [[{"name": "label"}], "probability", ["probability"], [{"name": []}], [{"name": {}}], [{}], [None], {}]
)
def test_output_that_is_not_given_is_refused(outputs: object) -> None:
    with pytest.raises(RequestError, match="outputs is"):
        read(tensors(), outputs=outputs)


@pytest.mark.parametrize(("given", "version"), [("2", 2), (12, 12), (None, None)])
def test_request_may_name_its_version(given: object, version: int | None) -> None:
    assert read(tensors(), parameters={"model_version": given}).version == version


@pytest.mark.parametrize("given", ["two", -1, "-1", 1.0, True, "", "²", [], "9" * 4400, {}, [1]])
def test_version_that_is_no_number_is_refused(given: object) -> None:
    with pytest.raises(RequestError, match=r"parameters\.model_version is .* but it is a version's number"):
        read(tensors(), parameters={"model_version": given})
    with pytest.raises(RequestError, match="parameters is 3, but it is an object"):
        read(tensors(), parameters=3)


ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**63, "", "x", "9" * 5000, "2013-12-30T21:00:00Z", "0001-01-01T00:00:00Z"),
    *([], [1], [None], [[]], [{}], {}, {"name": []}, {"name": "probability"}, {"model_version": {}}),
)


def _places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [path, *(found for key, value in inner for found in _places(value, (*path, key)))]


def test_whatever_a_body_holds_is_read_or_refused() -> None:
    good = {"id": "a", "inputs": tensors(), "outputs": [{"name": "probability"}], "parameters": {"model_version": 1}}
    taken = 0
    for path in _places(good):
        for odd in ODD:
            body = json.loads(json.dumps(good))
            if path:
                inner = body
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = odd
            else:
                body = odd
            try:
                read_request(orjson.dumps(body), TYPES)
                taken += 1
            except RequestError as refusal:
                assert len(str(refusal)) < 1000  # noqa: PT017 # either of the two
    assert taken > 20


@pytest.mark.parametrize("levels", [100, 255, 1000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_deeply_is_refused_in_every_place(levels: int, opened: str, closed: str) -> None:
    good = {"id": "a", "inputs": tensors(), "outputs": [{"name": "probability"}], "parameters": {"model_version": 1}}
    deep = opened * levels + "1" + closed * levels
    for *path, last in filter(None, _places(good)):
        body = inner = json.loads(json.dumps(good))
        for key in path:
            inner = inner[key]
        inner[last] = "deep"
        raw = json.dumps(body).replace('"deep"', deep).encode()
        # parameters are the client's own, but for the version
        if (*path, last) == ("parameters",) and opened != "[":
            read_request(raw, TYPES)
            continue
        with pytest.raises(RequestError):
            read_request(raw, TYPES)


def test_request_has_no_more_rows_than_it_may() -> None:
    rows = 300
    inputs = [{**each, "shape": [rows], "data": each["data"] * rows} for each in tensors()]
    raw = orjson.dumps({"inputs": inputs})
    for most in (None, rows):
        assert len(read_request(raw, TYPES, most_rows=most).at) == rows
    # before a value is looked at
    inputs[0]["data"][0] = 3
    with pytest.raises(RequestError, match='input "flight_id" has 300 rows, but a request may have 299'):
        read_request(orjson.dumps({"inputs": inputs}), TYPES, most_rows=rows - 1)


def test_rows_of_several_requests_stand_one_after_the_other() -> None:
    noon = datetime(2013, 12, 30, 12, tzinfo=UTC)
    one = InferRequest("a", {"flight": ["UA1", "B62"]}, [noon, noon], {"wind": [1.0, None]}, version=2)
    other = InferRequest("b", {"flight": ["XX9"]}, [noon + timedelta(hours=1)], {"wind": [3.0]})
    assert together([one]) is one
    assert together([one, other]) == InferRequest(
        None, {"flight": ["UA1", "B62", "XX9"]}, [noon, noon, noon + timedelta(hours=1)], {"wind": [1.0, None, 3.0]}
    )
