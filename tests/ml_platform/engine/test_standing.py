from __future__ import annotations

from ml_platform.engine.standing import standing
from ml_platform.records.monitor import NO_WINDOW, Finding, State


def one(window: str, state: State, feature: str = "wind", value: float = 0.3, statistic: str = "psi") -> Finding:
    return Finding(window, "drift", feature, statistic, value, state, 100, 0.25)


def test_family_stands_as_its_newest_window_with_enough_data() -> None:
    found = standing([one("2013-10", "drifted"), one("2013-11", "steady"), one("2013-12", "not enough data")])["drift"]
    assert (found.window, found.state, found.passed, found.thin) == ("2013-11", "steady", True, ("2013-12",))


def test_family_without_enough_data_passes_and_says_so() -> None:
    found = standing([one("2013-12", "not enough data")])["drift"]
    assert (found.state, found.passed, found.sentence) == ("not enough data", True, "Not enough data in 2013-12.")


def test_what_is_furthest_beyond_its_limit_comes_first_and_each_feature_once() -> None:
    findings = [
        one("2013-12", "drifted", "wind", 0.3),
        one("2013-12", "drifted", "rain", 0.9),
        one("2013-12", "drifted", "rain", 0.26, "ks"),
        one("2013-12", "steady", "snow", 0.1),
    ]
    found = standing(findings)["drift"]
    assert found.sentence == ("In 2013-12, rain psi 0.9, limit 0.25 is drifted; wind psi 0.3, limit 0.25 is drifted.")
    assert found.judged == 4


def test_families_of_which_nothing_is_told_are_left_out() -> None:
    assert set(standing([one("2013-12", "steady")])) == {"drift"}


def test_before_there_is_a_window_none_is_named() -> None:
    assert standing([one(NO_WINDOW, "not enough data")])["drift"].sentence == "Not enough data yet."
    assert standing([one(NO_WINDOW, "steady")])["drift"].sentence == "Steady: 1 statistic."
    both = [one(window, "not enough data") for window in ("2013-11", "2013-12")]
    assert standing(both)["drift"].sentence == "Not enough data in 2013-11, 2013-12."
