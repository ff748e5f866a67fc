"""The report of a monitor: one HTML page that needs nothing else, for a person who wants to see what has moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from ml_platform.engine.assessing import Known, Measured, baseline_of
from ml_platform.engine.bars import bars
from ml_platform.engine.counting import Window
from ml_platform.engine.distributions import Counts, counted
from ml_platform.engine.drawings import COLOURS, Point, histogram, trend
from ml_platform.engine.standing import Standing, standing
from ml_platform.records.monitor import FAMILIES, NOT_ENOUGH, PREDICTION, WORDS, Family, Finding, MonitorRules

_STYLE = """
:root{--ink:#1d2329;--soft:#5b636d;--line:#e2e6ea;--page:#f6f7f9}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 12px}h3{font-size:14px;margin:0;font-weight:600;
overflow-wrap:anywhere}
p{margin:0 0 8px;max-width:78ch}.soft{color:var(--soft)}small{color:var(--soft)}
.grid{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(336px,1fr))}
.tiles{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(256px,1fr));margin-top:18px}
.card,.tile{background:#fff;border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tile{border-top:4px solid var(--state)}.tile b{display:block}.tile span{color:var(--state);font-weight:600}
.tile small{display:block;margin-top:2px;overflow-wrap:anywhere}
.head{display:flex;gap:8px;justify-content:space-between;align-items:baseline;margin-bottom:6px}
.badge{font-size:12px;font-weight:600;color:#fff;background:var(--state);border-radius:9px;padding:1px 8px;
white-space:nowrap}
svg{width:100%;height:auto;display:block}
.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 12px}
table{border-collapse:collapse;width:100%;background:#fff;font-size:13px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 9px;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}details{margin-top:12px}summary{cursor:pointer;font-weight:600}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
"""


def page(key: str, description: str, of: str, measured: Measured, rules: MonitorRules) -> str:
    """The page. of: the fingerprint of the table whose findings it shows, which stands in its first line."""
    known, windows, findings = measured.known, _filled(measured.windows), measured.findings
    families = standing(findings)
    title = escape(key)
    parts = [
        f"<!doctype html><!-- {escape(of)} -->",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>',
        f"<h1>{title}</h1><p>{escape(description)}</p>",
        f'<p class="soft">Version {measured.champion.number} of {escape(measured.champion.name)}, '
        f"as of {known.now:%Y-%m-%d %H:%M} UTC by the platform's clock; {_spans(windows)}.</p>",
        f'<div class="tiles">{"".join(_tiles(families))}</div>',
        *_quality(findings),
        *_volume(findings),
        *_features(rules, known, windows, findings),
        *_all(findings),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _filled(windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if window.mine]


def _spans(windows: Sequence[Window]) -> str:
    if not windows:
        return "no window has a row yet"
    rows = sum(window.mine for window in windows)
    first, last = escape(windows[0].name), escape(windows[-1].name)
    return f"{len(windows)} windows from {first} to {last}, {rows:,} rows"


def _tiles(families: Mapping[Family, Standing]) -> Iterator[str]:
    for family in FAMILIES:
        one = families.get(family)
        state = one.state if one else NOT_ENOUGH
        told = one.sentence if one else "Not asked."
        shown = state if one else "not asked"
        yield (
            f'<div class="tile" style="--state:{COLOURS[state]}"><b>{WORDS[family]}</b><span>{shown}</span>'
            f"<small>{escape(told)}</small></div>"
        )


def _quality(findings: Sequence[Finding]) -> Iterator[str]:
    of = [one for one in findings if one.family == "quality"]
    metrics = list(dict.fromkeys(one.statistic for one in of))
    if not metrics:
        return
    yield '<h2>Quality, as far as labels have come</h2><p class="soft">Dots with their 95 % intervals; the broken line '
    yield 'is the limit. Labels join by entity and event time, as they are known now.</p><div class="grid">'
    for metric in metrics:
        rows = [one for one in of if one.statistic == metric]
        yield _card(metric.replace("_", " "), rows[-1].state, _trend(rows, f"{metric} by window"), _under(rows[-1]))
    yield "</div>"


def _under(last: Finding) -> str:
    value = "no value yet" if last.value is None else f"{last.value:.4g}"
    against = f", limit {last.threshold:.4g}" if last.threshold is not None else ""
    return f"{last.window}: {value}{against}, {last.rows:,} rows"


def _volume(findings: Sequence[Finding]) -> Iterator[str]:
    rows = [one for one in findings if one.statistic == "rows"]
    failed = [one for one in findings if one.statistic == "failed_share"]
    fresh = [one for one in findings if one.family == "freshness"]
    yield '<h2>Volume and freshness</h2><div class="grid">'
    points = [Point(one.window, one.value, one.state) for one in rows]
    drawn = trend(points, None, "rows by window", from_zero=True)
    yield _card("rows", rows[-1].state if rows else NOT_ENOUGH, drawn, rows[-1].detail if rows else "")
    if any(one.value for one in failed):
        yield _card("share without an answer", failed[-1].state, _trend(failed, "failed requests"), failed[-1].detail)
    for one in fresh:
        told = "no event yet" if one.value is None else f"{one.value:,.0f} hours old"
        limit = "no limit is declared" if one.threshold is None else f"limit {one.threshold:,.0f} hours"
        yield _card("newest event", one.state, f"<p>{told}, {limit}</p>", one.detail)
    yield "</div>"


def _features(
    rules: MonitorRules, known: Known, windows: Sequence[Window], findings: Sequence[Finding]
) -> Iterator[str]:
    yield "<h2>Answers and features</h2>"
    yield (
        '<p class="soft key">The newest window with enough rows against its baseline, and the population stability '
        'index over windows.<i style="background:#b9c2cc"></i>baseline<i style="background:#3366a8"></i>window</p>'
    )
    yield '<div class="grid">'
    by_feature: dict[str, list[Finding]] = {}
    for one in findings:
        if one.family in ("drift", "prediction_drift"):
            by_feature.setdefault(one.feature, []).append(one)
    order = {name: (name != PREDICTION, _state(of) == "steady", -_worst(of), name) for name, of in by_feature.items()}
    for feature in sorted(by_feature, key=order.__getitem__):
        yield _feature(rules, known, windows, feature, by_feature[feature])
    for feature, why in known.absent.items():
        yield _card(feature, "broken", "", why)
    yield "</div>"


def _worst(of: Sequence[Finding]) -> float:
    last = _judged(of)
    return max((one.value or 0.0 for one in of if one.statistic == "psi" and one.window == last), default=0.0)


def _judged(of: Sequence[Finding]) -> str:
    """The newest window with enough data, or the newest at all."""
    windows = [one.window for one in of if one.state != NOT_ENOUGH] or [one.window for one in of]
    return max(windows)


def _state(of: Sequence[Finding]) -> str:
    """How a feature stands in its newest window with enough data."""
    now = [one for one in of if one.window == _judged(of)]
    return next((one.state for one in now if one.state not in ("steady", NOT_ENOUGH)), now[0].state)


def _feature(rules: MonitorRules, known: Known, windows: Sequence[Window], feature: str, of: Sequence[Finding]) -> str:
    last, state, drawn = _judged(of), _state(of), ""
    now = [one for one in of if one.window == last]
    if feature in known.hidden:
        return _card(feature, state, "", now[0].detail)
    place = next((at for at, window in enumerate(windows) if window.name == last), None)
    if place is not None:
        bins, counts = known.bins[feature], windows[place].counts.get(feature, Counts())
        _, baseline = baseline_of(rules, known, feature, windows[:place], last)
        after = counted(bins, counts)
        names, before, shares = bars(bins, baseline, after)
        drawn = histogram(before, shares, names, f"{feature} in {last}")
    psi = [one for one in of if one.statistic == "psi"]
    told = ", ".join(_statistic(one) for one in now if one.value is not None)
    return _card(
        feature,
        state,
        drawn + _trend(psi, f"index of {feature} by window", from_zero=True),
        f"{last}: {told or 'no value'}",
    )


def _statistic(one: Finding) -> str:
    words = {"psi": "index", "ks": "KS", "jensen_shannon": "JS", "null_share": "missing", "new_categories": "new"}
    named = f" ({one.detail})" if one.detail and one.statistic == "new_categories" else ""
    share = one.statistic in ("null_share", "new_categories")
    return f"{words.get(one.statistic, one.statistic)} {one.value:.1%}{named}" if share else (
        f"{words.get(one.statistic, one.statistic)} {one.value:.3f}"
    )  # fmt: skip


def _trend(of: Sequence[Finding], told: str, *, from_zero: bool = False) -> str:
    points = [Point(one.window, one.value, one.state, one.lower, one.upper) for one in of]
    limit = next((one.threshold for one in reversed(of) if one.threshold is not None), None)
    return trend(points, limit, told, from_zero=from_zero)


def _card(title: str, state: str, drawn: str, under: str) -> str:
    return (
        f'<div class="card" style="--state:{COLOURS[state]}"><div class="head"><h3>{escape(title)}</h3>'
        f'<span class="badge">{escape(state)}</span></div>{drawn}<small>{escape(under)}</small></div>'
    )


def _all(findings: Sequence[Finding]) -> Iterator[str]:
    yield f"<h2>Every finding</h2><details><summary>{len(findings):,} rows, as the table has them</summary>"
    yield '<div class="wide"><table><tr><th>window</th><th>family</th><th>feature</th><th>statistic</th>'
    yield '<th class="n">value</th><th class="n">threshold</th><th>state</th><th class="n">rows</th>'
    yield "<th>against</th><th>detail</th></tr>"
    for one in findings:
        value = "" if one.value is None else f"{one.value:.4g}"
        limit = "" if one.threshold is None else f"{one.threshold:.4g}"
        cells = [one.window, WORDS[one.family], one.feature, one.statistic]
        yield "".join(f"<td>{escape(cell)}</td>" for cell in cells).join(("<tr>", "")) + (
            f'<td class="n">{value}</td><td class="n">{limit}</td><td>{escape(one.state)}</td>'
            f'<td class="n">{one.rows:,}</td><td>{escape(one.baseline)}</td><td>{escape(one.detail)}</td></tr>'
        )
    yield "</table></div></details>"
