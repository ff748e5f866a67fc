from __future__ import annotations

import pytest

from ml_platform.errors import BindingError
from ml_platform.jobs.serving.settings import ServerSettings, settings_of

TOKEN = "a token of enough length"


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback_needs_no_token(bind: str) -> None:
    ServerSettings(bind).check()
    assert ServerSettings(bind).token == ""


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.0.0.7", "host.example"])  # noqa: S104 # it is what is refused
def test_what_others_reach_needs_one(bind: str) -> None:
    with pytest.raises(BindingError, match=rf"endpoint_host\.bind is {bind}, which others can reach"):
        ServerSettings(bind).check()
    ServerSettings(bind, bearer="SERVING_TOKEN").check()


def test_token_is_the_variables_and_is_told_as_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_TOKEN", TOKEN)
    settings = ServerSettings(bearer="SERVING_TOKEN")
    assert settings.token == TOKEN
    assert TOKEN not in str(settings.told)
    before = settings.told
    monkeypatch.setenv("SERVING_TOKEN", f"another, {TOKEN}")
    assert settings.told != before


@pytest.mark.parametrize("value", ["", "short"])
def test_variable_that_holds_no_token_is_named_and_not_quoted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_TOKEN", value)
    with pytest.raises(BindingError, match="the environment variable SERVING_TOKEN") as told:
        _ = ServerSettings(bearer="SERVING_TOKEN").token
    assert not value or value not in str(told.value)


@pytest.mark.parametrize("limit", ["max_concurrent", "max_body_bytes", "max_rows"])
def test_room_for_nothing_is_refused(limit: str) -> None:
    with pytest.raises(BindingError, match=r"to take .*\b0 (requests|bytes|rows).*, but that is none"):
        settings_of({limit: 0}).check()


def test_settings_are_read_among_other_keys() -> None:
    assert settings_of({"name": "delay", "max_concurrent": 3, "max_rows": 5}) == ServerSettings(
        max_concurrent=3, max_rows=5
    )
