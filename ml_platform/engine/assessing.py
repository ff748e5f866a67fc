"""Assessing: what the counts of windows mean, by the rules of a monitor. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from ml_platform.engine.counting import Window
from ml_platform.engine.distributions import Bins, Counts, Distribution, Moved, added, counted, moved, trained
from ml_platform.engine.periods import end, later, period_of, unbroken
from ml_platform.engine.quality import DELAYED, Estimate, allowed, decayed, estimate
from ml_platform.records.metric import Task
from ml_platform.records.model import ModelVersion
from ml_platform.records.monitor import (
    NO_WINDOW,
    NOT_ENOUGH,
    PREDICTION,
    Family,
    Finding,
    MonitorRules,
    State,
    Thresholds,
)

_MOST_NAMED = 20


@dataclass(frozen=True)
class Known:
    """What a monitor is told beside the windows.

    statistics: feature → its training statistics; `prediction` among them. trained_rows: of the training set.
    bins: feature → how it is counted, of those that are there. absent: feature → why it is not there.
    hidden: features that the log does not hold in the clear, which nobody can compare.
    expected: the window up to which rows have to come; empty where nobody knows that they do.
    own: metric → the champion's value on the test split. skew: feature → the share of requests in which it differed;
    None where no request was ever asked again. skew_requests: how many were. now: by the platform's clock, UTC.
    """

    task: Task
    statistics: Mapping[str, Mapping[str, Any]]
    bins: Mapping[str, Bins]
    now: datetime
    timezone: str
    trained_rows: int | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    expected: str = ""
    own: Mapping[str, float] = field(default_factory=dict)
    skew: Mapping[str, float] | None = None
    skew_requests: int = 0


@dataclass(frozen=True)
class Measured:
    """What one look at the windows gave. champion: whose answers they are."""

    known: Known
    windows: tuple[Window, ...]
    findings: tuple[Finding, ...]
    champion: ModelVersion


def assess(rules: MonitorRules, known: Known, windows: Sequence[Window]) -> list[Finding]:
    """Every statistic of every window, in order; of a monitor that has seen nothing yet, that it has not.

    A window of which nothing is there is one of no rows: between others, and behind the last where rows are expected.
    """
    whole = _unbroken(windows, known, rules.windows)
    found: list[Finding] = []
    for place, window in enumerate(whole):
        before = whole[:place]
        found += _inputs(rules, known, window)
        found += _drifts(rules, known, window, before)
        found += _hidden(known, window)
        found += _volume(rules, known, window, before, last=place == len(whole) - 1)
        found += _failed(rules, window)
        found += _quality(rules, known, window)
    found += _silent(rules, known) if not whole else ()
    found += _freshness(rules, known, whole)
    return [*found, *_skew(known, whole)]


def baseline_of(
    rules: MonitorRules, known: Known, feature: str, before: Sequence[Window], name: str
) -> tuple[str, Distribution | None]:
    """What a window is held against, told for people, and the distribution; None where there is none yet.

    before: the windows before it. name: its own.
    """
    if rules.baseline == "training_set":
        return "the training set", trained(known.statistics[feature], known.trained_rows)
    if rules.baseline == "previous":
        chosen = [window for window in before if window.mine][-rules.baseline_windows :]
        told = f"the {rules.baseline_windows} windows before" if rules.baseline_windows > 1 else "the window before"
        enough = len(chosen) == rules.baseline_windows
    else:
        season = later(name, -rules.baseline_windows)
        chosen = [window for window in before if window.name == season]
        told, enough = season or f"{rules.baseline_windows} windows earlier", bool(chosen)
    counts = added(window.counts.get(feature, Counts()) for window in chosen)
    if not enough or counts.rows < rules.minimum_rows:
        return told, None
    return told, counted(known.bins[feature], counts)


def _unbroken(windows: Sequence[Window], known: Known, most: int) -> list[Window]:
    """most: how many behind the last that has rows are looked at, the latest of them."""
    there = {window.name: window for window in windows}
    names, expected = unbroken(sorted(there), known.timezone), known.expected
    if names and expected > names[-1] and period_of(expected) == period_of(names[-1]):
        names += unbroken([names[-1], expected], known.timezone)[1:][-most:]
    return [there.get(name) or Window(name, 0, 0, None) for name in names]


def _inputs(rules: MonitorRules, known: Known, window: Window) -> Iterator[Finding]:
    """Whether what the model was given can be read at all: that is no drift."""
    few = window.mine < rules.minimum_rows
    for feature, why in known.absent.items():
        yield Finding(window.name, "input", feature, "schema", 1.0, "broken", window.mine, 0.0, detail=why)
    for feature, bins in known.bins.items():
        found = counted(bins, window.counts.get(feature, Counts()))
        if found.unreadable and found.rows:
            why = f"{found.unreadable:.1%} of its values are no numbers, but it was learned as one"
            share = found.unreadable
            yield Finding(window.name, "input", feature, "schema", share, "broken", found.rows, 0.0, detail=why)
        rise = found.null_share - float(known.statistics[feature]["null_share"])
        state: State = NOT_ENOUGH if few else "broken" if round(rise, 12) >= rules.null_flood else "steady"
        if found.rows and feature != PREDICTION:
            yield Finding(
                window.name, "input", feature, "null_flood", rise, state, found.rows, rules.null_flood,
                baseline="the training set",
            )  # fmt: skip


def _drifts(rules: MonitorRules, known: Known, window: Window, before: Sequence[Window]) -> Iterator[Finding]:
    for feature, bins in known.bins.items():
        told, baseline = baseline_of(rules, known, feature, before, window.name)
        counts = window.counts.get(feature, Counts())
        family: Family = "prediction_drift" if feature == PREDICTION else "drift"
        limits = rules.of_features.get(feature, rules.thresholds)
        if baseline is None or not counts.rows:
            why = f"{told} has too few rows" if baseline is None else "the window has no row"
            yield Finding(
                window.name,
                family,
                feature,
                "psi",
                None,
                NOT_ENOUGH,
                counts.rows,
                limits.psi,
                baseline=told,
                detail=why,
            )
            continue
        found = moved(baseline, counted(bins, counts))
        for statistic, value, limit, measured in _statistics(found, baseline, limits):
            state: State = "drifted" if limit is not None and round(measured, 12) >= limit else "steady"
            yield Finding(
                window.name,
                family,
                feature,
                statistic,
                value,
                NOT_ENOUGH if counts.rows < rules.minimum_rows else state,
                counts.rows,
                limit,
                baseline=told,
                detail=_named(found) if statistic == "new_categories" else "",
            )


def _hidden(known: Known, window: Window) -> Iterator[Finding]:
    for feature in known.hidden:
        why = "the log does not hold it in the clear"
        yield Finding(window.name, "drift", feature, "psi", None, NOT_ENOUGH, window.mine, detail=why)


def _statistics(
    found: Moved, baseline: Distribution, limits: Thresholds
) -> Iterator[tuple[str, float, float | None, float]]:
    """Statistic, its value, its limit, and what is held against the limit."""
    yield "psi", found.psi, limits.psi, found.psi
    if found.ks is not None:
        yield "ks", found.ks, limits.ks, found.ks
    yield "jensen_shannon", found.jensen_shannon, limits.jensen_shannon, found.jensen_shannon
    # A rise by exactly the limit must not hang on binary fractions: the caller rounds.
    yield "null_share", found.null_share, limits.null_share, found.null_share - baseline.null_share
    if found.new_share is not None:
        yield "new_categories", found.new_share, limits.new_categories, found.new_share


def _named(found: Moved) -> str:
    more = len(found.new) - _MOST_NAMED
    return ", ".join(found.new[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _volume(
    rules: MonitorRules, known: Known, window: Window, before: Sequence[Window], *, last: bool
) -> Iterator[Finding]:
    """Rows against the median of the windows before that had any.

    A window that has not ended is not judged, nor one without a row where few usually come.
    """
    ends = end(window.name, known.timezone)
    ended = not last if ends is None else not last or ends <= known.now
    usual = median([other.rows for other in before if other.rows] or [0])
    least, most = (share * usual for share in rules.volume)
    state: State = "steady" if least <= window.rows <= most else "broken"
    why = f"usual are {usual:,.0f}, allowed {least:,.0f} to {most:,.0f}" if state == "broken" else ""
    if not ended:
        state, why = NOT_ENOUGH, "it has not ended"
    elif not usual:
        state, why = NOT_ENOUGH, "there is no window before it"
    elif not window.rows and usual < rules.minimum_rows:
        state, why = NOT_ENOUGH, f"usual are {usual:,.0f}, and fewer than {rules.minimum_rows:,} say nothing"
    yield Finding(
        window.name, "volume", "", "rows", float(window.rows), state, window.rows,
        least if window.rows <= usual else most, least, most, "the median of the windows before", why,
    )  # fmt: skip


def _failed(rules: MonitorRules, window: Window) -> Iterator[Finding]:
    """How many requests got no answer; of a batch, none is ever left without."""
    if not window.rows:
        return
    share = window.failed / window.rows
    state: State = "broken" if share > rules.failed_share else "steady"
    few = window.rows < rules.minimum_rows
    why = f"{window.failed:,} requests got no answer" if window.failed else ""
    yield Finding(
        window.name, "volume", "", "failed_share", share, NOT_ENOUGH if few else state, window.rows, rules.failed_share,
        detail=why,
    )  # fmt: skip


def _quality(rules: MonitorRules, known: Known, window: Window) -> Iterator[Finding]:
    if rules.quality is None:
        return
    of, asked = window.labelled, rules.quality
    for metric in DELAYED[known.task]:
        limit = asked.limits.get(metric, allowed(metric, known.own.get(metric), asked.decay))
        found = estimate(metric, of)
        told = "declared" if metric in asked.limits else "the champion on the test split"
        few = of.rows < asked.minimum_labels
        state: State = NOT_ENOUGH if few or found is None or limit is None else _worth(metric, found, limit)
        ends = (found.lower, found.upper) if found else (None, None)
        value = found.value if found else None
        yield Finding(window.name, "quality", PREDICTION, metric, value, state, of.rows, limit, ends[0], ends[1], told)
    share = of.came / of.due if of.due else None
    enough = of.due >= asked.minimum_labels and share is not None
    state = ("broken" if share < asked.labelled_share else "steady") if enough and share is not None else NOT_ENOUGH
    why = f"labels do not come: {of.came:,} of {of.due:,}" if state == "broken" else ""
    yield Finding(
        window.name, "quality", PREDICTION, "labelled_share", share, state, of.due, asked.labelled_share, detail=why
    )


def _worth(metric: str, found: Estimate, limit: float) -> State:
    return "decayed" if decayed(metric, found, limit) else "steady"


def _freshness(rules: MonitorRules, known: Known, windows: Sequence[Window]) -> Iterator[Finding]:
    """The age of the newest event; one that is still to come is no older than now."""
    newest = max((window.newest for window in windows if window.newest), default=None)
    name, limit = windows[-1].name if windows else NO_WINDOW, rules.freshness_hours
    if newest is None:
        yield Finding(name, "freshness", "", "age_hours", None, NOT_ENOUGH, 0, limit, detail="there is no event yet")
        return
    age = max(known.now - newest, timedelta()) / timedelta(hours=1)
    late = limit is not None and age > limit
    why = f"the newest event is of {newest:%Y-%m-%d %H:%M} UTC"
    yield Finding(name, "freshness", "", "age_hours", age, "broken" if late else "steady", 1, limit, detail=why)


def _skew(known: Known, windows: Sequence[Window]) -> Iterator[Finding]:
    name = windows[-1].name if windows else NO_WINDOW
    if known.skew is None:
        yield Finding(name, "skew", "", "differing", None, NOT_ENOUGH, 0, 0.0, detail="no request was asked again yet")
        return
    if not known.skew:
        yield Finding(name, "skew", "", "differing", 0.0, "steady", known.skew_requests, 0.0)
    for feature, share in sorted(known.skew.items()):
        why = "served and offline differ in this share of the requests that were asked again"
        yield Finding(name, "skew", feature, "differing", share, "skewed", known.skew_requests, 0.0, detail=why)


def _silent(rules: MonitorRules, known: Known) -> Iterator[Finding]:
    """What is said where the champion has answered nothing yet."""
    for feature in known.bins:
        family: Family = "prediction_drift" if feature == PREDICTION else "drift"
        yield Finding(NO_WINDOW, family, feature, "psi", None, NOT_ENOUGH, 0, rules.thresholds.psi)
    for feature, why in known.absent.items():
        yield Finding(NO_WINDOW, "input", feature, "schema", None, NOT_ENOUGH, 0, 0.0, detail=why)
    yield Finding(NO_WINDOW, "volume", "", "rows", 0.0, NOT_ENOUGH, 0)
    for metric in DELAYED[known.task] if rules.quality else ():
        yield Finding(NO_WINDOW, "quality", PREDICTION, metric, None, NOT_ENOUGH, 0)
