from __future__ import annotations

import pytest

from ml_platform import errors
from ml_platform.errors import PlatformError, nearest


def test_message_is_fault_then_what_is_allowed_then_what_to_do() -> None:
    error = PlatformError("ttl is 0, but a row must live", allowed="It is above 0", remedy="Set ttl_hours")
    assert str(error) == "ttl is 0, but a row must live. It is above 0. Set ttl_hours."


def test_empty_parts_and_closing_stops_leave_no_trace() -> None:
    assert str(PlatformError("a is b, but c.", remedy="Do d.")) == "a is b, but c. Do d."


@pytest.mark.parametrize(
    ("kind", "helps"),
    [
        (errors.DeclarationError, False),
        (errors.BindingError, False),
        (errors.SourceError, False),
        (errors.AuditError, False),
        (errors.ConflictError, True),
        (errors.NotFoundError, False),
        (errors.GateRefusedError, False),
        (errors.ServiceError, False),
        (errors.RefusedError, False),
        (errors.TransientServiceError, True),
    ],
)
def test_type_says_whether_a_retry_can_help(kind: type[PlatformError], helps: bool) -> None:
    assert issubclass(kind, PlatformError)
    assert kind.retry_helps is helps


def test_nearest_name_comes_first_and_all_are_listed() -> None:
    assert nearest("champoin", ["challenger", "champion"]) == "Did you mean champion? Known are challenger, champion"
    assert nearest("zzz", ["b", "a"]) == "Known are a, b"
    assert nearest("zzz", []) == ""
    assert nearest("BRONZE.FLIGHT", ["bronze.flights"]) == "Did you mean bronze.flights? Known are bronze.flights"
    assert nearest("Fare", ["FARE", "fare"]).startswith("Did you mean FARE? ")


def test_of_very_many_names_the_first_are_listed_and_the_nearest_is_among_all() -> None:
    said = nearest("day-1998.csv", (f"day-{number:04}.csv" for number in range(2000)))
    assert said.startswith("Did you mean day-1998.csv? Known are day-0000.csv, day-0001.csv, ")
    assert said.endswith("day-0059.csv and 1,940 more")
