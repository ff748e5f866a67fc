from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from ml_platform.engine.assessing import Known, Measured, assess
from ml_platform.engine.counting import Window
from ml_platform.engine.distributions import MISSING, Counts, bins_of
from ml_platform.engine.monitor_report import page
from ml_platform.engine.quality import Labelled
from ml_platform.records.model import ModelVersion
from ml_platform.records.monitor import MonitorRules, QualityRules

HOSTILE = "<img src=x onerror=alert(1)>"
WIND = {"type": "number", "edges": [0.0], "shares": [0.5, 0.4], "null_share": 0.1, "points": [0.0], "below": [0.5]}
MANY = {
    "type": "number",
    "edges": [float(n) for n in range(9)],
    "shares": [0.1] * 10,
    "null_share": 0.0,
    "points": [n / 10 for n in range(1, 100)],
    "below": [n / 100 for n in range(1, 100)],
}
CATEGORY = {"type": "category", "shares": {"AA": 0.5, HOSTILE: 0.5}, "null_share": 0.0}
STATISTICS = {"wind": WIND, HOSTILE: CATEGORY, "many": MANY, "prediction": WIND}
RULES = MonitorRules(minimum_rows=10, quality=QualityRules(minimum_labels=10))


class Outline(HTMLParser):
    """The tags of a page, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def measured(*windows: Window) -> Measured:
    known = Known(
        task="binary",
        statistics=STATISTICS,
        bins={name: bins_of(one) for name, one in STATISTICS.items()},
        now=datetime(2014, 1, 2, tzinfo=UTC),
        timezone="UTC",
        own={"log_loss": 0.5, "brier": 0.2, "roc_auc": 0.7},
        absent={"gone": "the baseline has it, but what is watched does not"},
    )
    return Measured(known, windows, tuple(assess(RULES, known, windows)), ModelVersion("late", 3, "digest"))


def window(name: str, upper: int) -> Window:
    counts = {
        "wind": Counts({0: 100 - upper, 1: upper, MISSING: 5}),
        HOSTILE: Counts({"AA": 60, "DL": 40}),
        "many": Counts(dict.fromkeys(range(100), 1)),
        "prediction": Counts({0: 50, 1: 50}),
    }
    sums = {"log_loss": (60.0, 40.0), "brier": (20.0, 5.0)}
    of = Labelled(100, sums, [0] * 500 + [50] * 500, [50] * 500 + [0] * 500, due=100, came=100)
    return Window(name, 100, 100, datetime(2013, 12, 31, tzinfo=UTC), counts, of)


def test_page_shows_every_family_and_feature_and_nothing_that_is_written_in_them_runs() -> None:
    found = Outline(
        page(
            "monitors/late", "What is watched.", "digest", measured(window("2013-11", 50), window("2013-12", 95)), RULES
        )
    )
    assert not found.open
    assert not {"script", "img", "link", "iframe", "object"} & set(found.tags)
    for said in ("Data drift", "Prediction drift", "Quality", "Freshness", "wind", HOSTILE, "gone", "log loss", "DL"):
        assert said in found.words
    assert found.tags.count("svg") >= 2 * len(STATISTICS)


def test_page_of_nothing_says_so() -> None:
    found = Outline(page("monitors/late", "What is watched.", "digest", measured(), RULES))
    assert not found.open
    assert "no window has a row yet" in found.words
