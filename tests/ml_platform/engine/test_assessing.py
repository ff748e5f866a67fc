from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml_platform.engine.assessing import Known, assess
from ml_platform.engine.counting import Window
from ml_platform.engine.distributions import MISSING, UNREADABLE, Counts, bins_of
from ml_platform.engine.quality import Labelled
from ml_platform.records.monitor import Finding, MonitorRules, QualityRules, Thresholds

WIND = {"type": "number", "edges": [0.0], "shares": [0.5, 0.5], "null_share": 0.0, "points": [0.0], "below": [0.5]}
CARRIER = {"type": "category", "shares": {"AA": 0.5, "UA": 0.5}, "null_share": 0.0}
STATISTICS = {"wind": WIND, "carrier": CARRIER, "prediction": WIND}
KNOWN = Known(
    task="binary",
    statistics=STATISTICS,
    bins={name: bins_of(one) for name, one in STATISTICS.items()},
    now=datetime(2013, 12, 31, 12, tzinfo=UTC),
    timezone="UTC",
    own={"log_loss": 0.5, "brier": 0.2, "roc_auc": 0.7},
)
RULES = MonitorRules(minimum_rows=10)
AS_TRAINED = {
    "wind": Counts({0: 50, 1: 50}),
    "carrier": Counts({"AA": 50, "UA": 50}),
    "prediction": Counts({0: 50, 1: 50}),
}


def window(name: str, rows: int = 100, **counts: Counts) -> Window:
    newest = datetime(2013, 12, 30, tzinfo=UTC) if rows else None
    return Window(name, rows, rows, newest, {**AS_TRAINED, **counts} if rows else {})


def found(
    windows: list[Window], rules: MonitorRules = RULES, known: Known = KNOWN
) -> dict[tuple[str, str, str], Finding]:
    return {(one.window, one.feature, one.statistic): one for one in assess(rules, known, windows)}


def test_window_as_the_training_set_is_steady_in_every_statistic() -> None:
    every = assess(RULES, KNOWN, [window("2013-11"), window("2013-12")])
    assert {one.state for one in every if one.window == "2013-12"} == {"steady", "not enough data"}
    assert {one.statistic for one in every if one.feature == "carrier"} == {
        "psi",
        "jensen_shannon",
        "null_share",
        "new_categories",
        "null_flood",
    }


def test_moved_feature_drifts_alone_by_the_hand_calculation() -> None:
    # given one half in either bin, when 0.1 and 0.9 fall there: KS 0.4
    every = found([window("2013-12", wind=Counts({0: 10, 1: 90}))])
    assert every["2013-12", "wind", "ks"].value == pytest.approx(0.4)
    assert every["2013-12", "wind", "ks"].state == "drifted"
    assert every["2013-12", "carrier", "psi"].state == "steady"


def test_new_categories_are_named_and_have_a_limit_of_their_own() -> None:
    one = found([window("2013-12", carrier=Counts({"AA": 47, "UA": 47, "DL": 6}))])[
        "2013-12", "carrier", "new_categories"
    ]
    assert (one.value, one.state, one.detail) == (0.06, "drifted", "DL")


def test_feature_may_have_thresholds_of_its_own_or_none() -> None:
    rules = replace(RULES, of_features={"wind": Thresholds(psi=None, ks=None, jensen_shannon=None)})
    every = found([window("2013-12", wind=Counts({0: 10, 1: 90}))], rules)
    assert {one.state for (_, feature, _), one in every.items() if feature == "wind"} == {"steady"}


def test_few_rows_say_nothing() -> None:
    small = Window("2013-12", 9, 9, None, {name: Counts({1: 9}) for name in STATISTICS})
    every = found([small])
    assert every["2013-12", "wind", "psi"].state == "not enough data"


def test_nothing_yet_is_not_enough_data_in_every_family() -> None:
    rules = replace(RULES, quality=QualityRules(), freshness_hours=1)
    every = assess(rules, KNOWN, [])
    assert {one.state for one in every} == {"not enough data"}
    assert {one.family for one in every} == {"drift", "prediction_drift", "quality", "skew", "freshness", "volume"}


def test_windows_before_are_a_baseline_once_there_are_enough() -> None:
    shifted = window("2013-10", wind=Counts({0: 10, 1: 90}))
    rules = replace(RULES, baseline="previous", baseline_windows=2)
    windows = [shifted, replace(shifted, name="2013-11"), replace(shifted, name="2013-12")]
    every = found(windows, rules)
    assert every["2013-11", "wind", "psi"].state == "not enough data"
    assert every["2013-12", "wind", "psi"].value == pytest.approx(0.0)
    assert every["2013-12", "wind", "psi"].baseline == "the 2 windows before"


def test_same_window_a_season_before_is_a_baseline() -> None:
    winter = window("2012-12", wind=Counts({0: 90, 1: 10}))
    windows = [winter, window("2013-11"), replace(winter, name="2013-12")]
    every = found(windows, replace(RULES, baseline="season", baseline_windows=12))
    assert every["2013-12", "wind", "psi"].value == pytest.approx(0.0)
    assert every["2013-12", "wind", "psi"].baseline == "2012-12"
    assert every["2013-11", "wind", "psi"].state == "not enough data"


def test_hole_between_windows_breaks_the_volume_and_is_no_drift() -> None:
    every = found([window("2013-12-01"), window("2013-12-02"), window("2013-12-04")])
    hole = every["2013-12-03", "", "rows"]
    assert (hole.value, hole.state) == (0.0, "broken")
    assert every["2013-12-03", "wind", "psi"].state == "not enough data"


def test_windows_behind_the_last_break_the_volume_where_rows_are_expected() -> None:
    windows = [window("2013-12-01"), window("2013-12-02")]
    assert {one.window for one in assess(RULES, KNOWN, windows)} == {"2013-12-01", "2013-12-02"}
    # however many they are, what is usual is what came when something did
    every = found(windows, known=replace(KNOWN, expected="2013-12-09"))
    assert {every[f"2013-12-0{day}", "", "rows"].state for day in range(3, 10)} == {"broken"}
    assert every["2013-12-09", "wind", "psi"].state == "not enough data"
    # and the latest are looked at, of a log that was left alone for years
    left = {one.window for one in assess(replace(RULES, windows=3), replace(KNOWN, expected="2029-12-30"), windows)}
    assert {"2013-12-01", "2013-12-02", "2029-12-30"} <= left
    assert len(left) <= 5


def test_silence_says_nothing_where_few_usually_come() -> None:
    every = found(
        [window("2013-12-01", rows=9), window("2013-12-02", rows=9)], known=replace(KNOWN, expected="2013-12-03")
    )
    assert every["2013-12-03", "", "rows"].state == "not enough data"
    assert every["2013-12-03", "", "rows"].detail == "usual are 9, and fewer than 10 say nothing"


def test_window_that_has_not_ended_is_not_short_of_rows() -> None:
    windows = [window("2013-12-30"), window("2013-12-31", rows=20)]
    assert found(windows)["2013-12-31", "", "rows"].state == "not enough data"
    ended = replace(KNOWN, now=datetime(2014, 1, 1, tzinfo=UTC))
    assert found(windows, known=ended)["2013-12-31", "", "rows"].state == "broken"


def test_flood_of_missing_values_is_broken_input() -> None:
    every = found([window("2013-12", wind=Counts({0: 20, 1: 20, MISSING: 60}))])
    assert every["2013-12", "wind", "null_flood"].state == "broken"
    assert every["2013-12", "carrier", "null_flood"].state == "steady"


def test_baseline_of_another_schema_is_broken_input_and_the_rest_is_told() -> None:
    bins = {name: one for name, one in KNOWN.bins.items() if name != "carrier"}
    known = replace(KNOWN, bins=bins, absent={"carrier": "the baseline has it, but what is watched does not"})
    every = found([window("2013-12", wind=Counts({0: 40, 1: 40, UNREADABLE: 20}))], known=known)
    assert every["2013-12", "carrier", "schema"].state == "broken"
    assert every["2013-12", "wind", "schema"].detail == "20.0% of its values are no numbers, but it was learned as one"
    assert every["2013-12", "prediction", "psi"].state == "steady"


def labelled(rows: int, loss: float, due: int = 1000, came: int = 900) -> Labelled:
    sums = {"log_loss": (rows * loss, rows * loss * loss), "brier": (rows * 0.1, rows * 0.01)}
    return Labelled(rows, sums, [0] * 10, [0] * 10, due, came)


@pytest.mark.parametrize(("loss", "state"), [(0.54, "steady"), (0.56, "decayed")])
def test_quality_decays_beyond_the_champions_own_and_a_tenth(loss: float, state: str) -> None:
    rules = replace(RULES, quality=QualityRules())
    one = found([replace(window("2013-12"), labelled=labelled(900, loss))], rules)["2013-12", "prediction", "log_loss"]
    assert (one.threshold, one.state) == (pytest.approx(0.55), state)


def test_declared_limit_comes_before_the_champions_own() -> None:
    rules = replace(RULES, quality=QualityRules(limits={"log_loss": 0.6}))
    one = found([replace(window("2013-12"), labelled=labelled(900, 0.56))], rules)["2013-12", "prediction", "log_loss"]
    assert (one.threshold, one.state, one.baseline) == (0.6, "steady", "declared")


def test_labels_that_never_come_are_broken_and_not_a_worse_model() -> None:
    rules = replace(RULES, quality=QualityRules())
    every = found([replace(window("2013-12"), labelled=labelled(100, 0.9, due=1000, came=100))], rules)
    assert every["2013-12", "prediction", "labelled_share"].state == "broken"
    assert every["2013-12", "prediction", "log_loss"].state == "not enough data"


@pytest.mark.parametrize(
    ("now", "state", "age"),
    [
        ("2013-12-30T06:00+00:00", "steady", 6.0),
        ("2014-12-30T00:00+00:00", "broken", 365 * 24.0),  # a clock that jumped ahead
        ("2012-12-30T00:00+00:00", "steady", 0.0),  # one that went back: nothing is older than now
    ],
)
def test_freshness_is_by_the_clock_wherever_it_jumps(now: str, state: str, age: float) -> None:
    known = replace(KNOWN, now=datetime.fromisoformat(now))
    one = found([window("2013-12")], replace(RULES, freshness_hours=48), known)["2013-12", "", "age_hours"]
    assert (one.state, one.value) == (state, pytest.approx(age))


def test_skew_is_told_by_feature_as_its_last_audit_found_it() -> None:
    every = found([window("2013-12")], known=replace(KNOWN, skew={"wind": 0.2}, skew_requests=50))
    assert every["2013-12", "wind", "differing"].state == "skewed"
    clean = found([window("2013-12")], known=replace(KNOWN, skew={}, skew_requests=50))
    assert clean["2013-12", "", "differing"].state == "steady"
