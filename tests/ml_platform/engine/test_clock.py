from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from ml_platform.engine import clock
from ml_platform.errors import BindingError, NotFoundError
from resources.embedded.lakehouse import EmbeddedLakehouse

NOON = datetime(2013, 12, 31, 12, tzinfo=UTC)


def test_a_replay_stands_where_it_was_set(lakehouse: EmbeddedLakehouse) -> None:
    assert clock.advance(lakehouse, NOON) == NOON
    assert clock.now(lakehouse, "replay") == NOON


def test_a_replay_never_goes_back(lakehouse: EmbeddedLakehouse) -> None:
    clock.advance(lakehouse, NOON)
    assert clock.advance(lakehouse, NOON - timedelta(microseconds=1)) == NOON
    assert clock.now(lakehouse, "replay") == NOON
    later = NOON + timedelta(microseconds=1)
    assert clock.advance(lakehouse, later) == later
    assert clock.now(lakehouse, "replay") == later


def test_the_replay_is_utc_whatever_zone_it_is_set_in(lakehouse: EmbeddedLakehouse) -> None:
    local = datetime(2013, 12, 31, 7, tzinfo=timezone(timedelta(hours=-5)))
    for found in (clock.advance(lakehouse, local), clock.now(lakehouse, "replay")):
        assert (found, found.tzinfo) == (NOON, UTC)


def test_a_replay_that_never_advanced_has_no_now(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(NotFoundError, match="the replay clock is not set"):
        clock.now(lakehouse, "replay")


def test_a_replay_leaves_one_file(lakehouse: EmbeddedLakehouse) -> None:
    clock.advance(lakehouse, NOON)
    clock.advance(lakehouse, NOON + timedelta(hours=1))
    assert [path.name for path in Path(lakehouse.files("platform").uri).iterdir()] == ["clock.txt"]


def test_the_real_clock_is_the_machines(lakehouse: EmbeddedLakehouse) -> None:
    clock.advance(lakehouse, NOON)
    before = datetime.now(UTC)
    assert before <= clock.now(lakehouse, "real") <= datetime.now(UTC)


@pytest.mark.parametrize("mode", ["real", "replay"])
def test_a_setting_overrides_both(lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    clock.advance(lakehouse, NOON)
    monkeypatch.setenv("ML_PLATFORM_NOW", "2013-07-01T00:00:00-04:00")
    assert clock.now(lakehouse, mode) == datetime(2013, 7, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("text", ["noon", "2013-07-01T00:00:00", "2013-13-01T00:00:00Z"])
def test_a_setting_that_is_no_moment_is_refused(
    lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ML_PLATFORM_NOW", text)
    with pytest.raises(BindingError, match=f"the clock is '{text}'.*ML_PLATFORM_NOW"):
        clock.now(lakehouse, "real")


def test_a_damaged_clock_names_its_file(lakehouse: EmbeddedLakehouse) -> None:
    clock.advance(lakehouse, NOON)
    (Path(lakehouse.files("platform").uri) / "clock.txt").write_text("")
    with pytest.raises(BindingError, match=r"the clock is ''.*Delete clock\.txt"):
        clock.now(lakehouse, "replay")
