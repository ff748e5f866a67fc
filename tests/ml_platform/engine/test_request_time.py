from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_platform.engine.point_in_time import join
from ml_platform.engine.request_time import (
    ComputationError,
    computed,
    load,
    require_given,
    save,
    taken,
    version_of,
)
from ml_platform.errors import AuditError, DeclarationError
from ml_platform.records.feature import FeatureView, RequestTimeFeatures

AT = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
SOURCE = """
def moment_v1(event_time, amount, recent, store):
    above = None if recent is None else amount - recent
    return {"hour": event_time.hour, "above": above, "corner": f"{store}-{event_time:%a}"}
"""
MOMENT = RequestTimeFeatures(
    "moment_v1",
    {"event_time": "datetime", "amount": "float", "recent": "float | None", "store": "str"},
    {"hour": "number", "above": "number", "corner": "category"},
    SOURCE,
)
RECENT = FeatureView("recent_v1", ("store",), ("recent",), ttl_hours=24)


def features(body: str, **inputs: str) -> RequestTimeFeatures:
    """One number by a function of that body."""
    text = f"def told_v1({', '.join(inputs)}):\n    {body}\n"
    return RequestTimeFeatures("told_v1", inputs, {"told": "number"}, text)


def told(body: str, kind: str, value: object) -> object:
    return computed([features(body, value=kind)], {"value": [value]}, [AT])["told"][0]


def test_each_row_is_computed_of_its_own_values_and_moment() -> None:
    columns = {"amount": [10.0, 4], "recent": [2.5, None], "store": ["north", "south"], "other": ["not", "taken"]}
    assert computed([MOMENT], columns, [AT, AT + timedelta(days=1, hours=2)]) == {
        "hour": [14.0, 16.0],
        "above": [7.5, None],
        "corner": ["north-Tue", "south-Wed"],
    }


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_row_that_lacks_what_may_not_be_missing_has_no_features(missing: float | None) -> None:
    columns = {"amount": [missing], "recent": [2.5], "store": ["north"]}
    assert computed([MOMENT], columns, [AT]) == {"hour": [None], "above": [None], "corner": [None]}


def test_a_later_function_takes_what_an_earlier_one_gave() -> None:
    later = features("return {'told': above * 2}", above="float")
    columns = {"amount": [10.0], "recent": [2.5], "store": ["north"]}
    assert computed([MOMENT, later], columns, [AT])["told"] == [15.0]
    assert taken([MOMENT, later]) == {"amount": "number", "recent": "number", "store": "category"}


@pytest.mark.parametrize(
    ("kind", "value", "given"),
    [
        # a column of integers with a gap is one of floats offline, and a request's number may be whole
        ("str", 5.0, "5"),
        ("str", "5", "5"),
        ("int", 5.0, 5),
        ("int", True, 1),
        ("float", Decimal("2.5"), 2.5),
        ("float", 2, 2.0),
        ("bool", 1, True),
        ("bool", 0.0, False),
    ],
)
def test_a_value_is_of_its_parameter_s_type_however_it_was_kept(kind: str, value: object, given: object) -> None:
    body = f"return {{'told': repr(value) == {repr(given)!r}}}"
    assert told(body, kind, value) == 1.0


def test_a_moment_is_in_utc_whatever_its_zone() -> None:
    local = AT.astimezone(timezone(timedelta(hours=-5)))
    assert computed([features("return {'told': event_time.hour}", event_time="datetime")], {}, [local]) == {
        "told": [14.0]
    }


@pytest.mark.parametrize(
    ("kind", "value"), [("float", "2.5"), ("int", 2.5), ("int", "2"), ("bool", 2), ("bool", "true"), ("float", AT)]
)
def test_a_value_of_another_type_is_refused_by_name_and_row(kind: str, value: object) -> None:
    with pytest.raises(ComputationError, match=rf"^value is .* at row 0, of 2024-03-05T14:30.*takes it as {kind}"):
        told("return {'told': 0}", kind, value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return {'told': 1 / value}",
            r"told_v1 ends with ZeroDivisionError \(float division by zero\) at row 0, of 2024",
        ),
        ("return 3", "told_v1 gave a int at row 0.*mapping of its features. They are told"),
        ("return None", "told_v1 gave a NoneType at row 0"),
        ("return {}", "told_v1 gave nothing at row 0"),
        ("return {'told': 1, 'more': 2}", "told_v1 gave told, more at row 0"),
        ("return {'told': 'high'}", "told of told_v1 is 'high' at row 0, .*, but it is declared as a number"),
        ("return {'told': float('inf')}", "told of told_v1 is inf at row 0.*A finite number, or None"),
    ],
)
def test_what_a_function_may_not_do_is_told_with_the_row(body: str, message: str) -> None:
    with pytest.raises(ComputationError, match=message):
        told(body, "float", 0.0)


def test_nan_is_a_missing_number_and_a_category_is_a_text() -> None:
    assert told("return {'told': float('nan')}", "float", 1.0) is None
    number = replace(features("return {'told': 3}", value="float"), features={"told": "category"})
    with pytest.raises(ComputationError, match=r"told of told_v1 is 3 at row 0, .*as a category\. A text"):
        computed([number], {"value": [1.0]}, [AT])


def test_the_join_computes_of_what_it_joined_in_the_order_of_the_events() -> None:
    # given events that are not in the order of time
    time = pl.Datetime("us", "UTC")
    moments = [AT + timedelta(hours=hours) for hours in (2, 1, 30)]
    events = pl.DataFrame({"store": ["north"] * 3, "amount": [10, 20, 30], "at": pl.Series(moments, dtype=time)})
    rows = pl.DataFrame({"store": ["north"], "recent": [4.0], "event_time": [AT], "known_at": [AT]}).with_columns(
        pl.col("event_time", "known_at").cast(time)
    )
    joined = join(events, [(RECENT, rows)], "at", [MOMENT])
    assert joined.columns == ["store", "amount", "at", "recent", "hour", "above", "corner"]
    # the third comes after the view's row is forgotten
    assert joined["above"].to_list() == [6.0, 16.0, None]
    assert joined["hour"].to_list() == [16.0, 15.0, 20.0]
    assert joined.schema["above"] == pl.Float64
    assert joined.schema["corner"] == pl.String


def test_the_join_refuses_what_it_cannot_compute() -> None:
    events = pl.DataFrame({"amount": [1.0], "at": pl.Series([AT], dtype=pl.Datetime("us", "UTC"))})
    with pytest.raises(AuditError, match="recent is taken by a request-time feature, but neither the events nor a"):
        join(events, [], "at", [MOMENT])
    with pytest.raises(AuditError, match="a function gives told, but the events or an earlier view have that column"):
        join(events.with_columns(told=1), [], "at", [features("return {'told': 1}", amount="float")])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"amount": "number", "store": "string"}, "order: moment_v1 takes recent, but neither the request nor a view"),
        (
            {"amount": "string", "recent": "number", "store": "string"},
            "order: moment_v1 takes amount as float, but it is a string. It can be taken as str",
        ),
        (
            {"amount": "number", "recent": "number", "store": "number"},
            "order: moment_v1 takes store as str, but it is a number. It can be taken as float or int or bool",
        ),
        (
            {"amount": "number", "recent": "number", "store": "category", "hour": "number"},
            "order: hour comes from moment_v1 and from what is before it, but a column has one origin",
        ),
    ],
)
def test_what_cannot_be_given_is_refused_before_anything_runs(known: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        require_given([MOMENT], known, "order")


def test_what_is_given_tells_what_is_known_then() -> None:
    known: dict[str, Any] = {"amount": "integer", "recent": "number", "store": ""}
    assert require_given([MOMENT], known, "order").keys() == {*known, "event_time", "hour", "above", "corner"}


def test_a_version_is_another_one_for_another_text_or_type() -> None:
    assert version_of(MOMENT).startswith("moment_v1@")
    others = [
        replace(MOMENT, source=SOURCE.replace("-", "+")),
        replace(MOMENT, inputs={**MOMENT.inputs, "amount": "int"}),
        replace(MOMENT, features={**MOMENT.features, "hour": "category"}),
    ]
    assert len({version_of(MOMENT), *map(version_of, others)}) == 4


def test_a_package_holds_what_it_was_fitted_with(tmp_path: Path) -> None:
    assert load(tmp_path) == ()
    save(tmp_path, [MOMENT])
    assert load(tmp_path) == (MOMENT,)
    assert version_of(load(tmp_path)[0]) == version_of(MOMENT)
