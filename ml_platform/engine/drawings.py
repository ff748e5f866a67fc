"""Drawings of a report: small SVG pictures as text, without a library and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = {
    "steady": "#2f7d5b",
    "drifted": "#c2571a",
    "decayed": "#b3261e",
    "skewed": "#b3261e",
    "broken": "#b3261e",
    "not enough data": "#7a828c",
}
_BEFORE, _AFTER, _AXIS, _INK = "#b9c2cc", "#3366a8", "#d5dae0", "#5b636d"
_WIDTH, _HEIGHT = 300.0, 112.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 8.0, 8.0, 22.0
_MOST_TICKS = 4
_FULL = 0.5


@dataclass(frozen=True)
class Point:
    """A window's value, None where it has none, the ends of its interval where there is one, and its state."""

    name: str
    value: float | None
    state: str = "steady"
    lower: float | None = None
    upper: float | None = None


def histogram(before: Sequence[float] | None, after: Sequence[float], names: Sequence[str], told: str) -> str:
    """Shares by bin, the baseline in grey behind, the window in blue. names: of the bins, for whoever points at one.

    before: None where there is no baseline. told: what it shows, for who cannot see it.
    """
    most = max([*(before or ()), *after, 1e-9])
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(after), 1)
    parts = [_grid([0.0, most], 0.0, most, percent=True)]
    for place, share in enumerate(after):
        x = _LEFT + place * step
        base = before[place] if before else None
        title = f"<title>{escape(names[place])}: {share:.1%}" + (f", baseline {base:.1%}" if base is not None else "")
        parts.append(f"<g>{title}</title>")
        if base is not None:
            parts.append(_bar(x + step * 0.04, step * 0.92, base / most, _BEFORE))
        parts.append(_bar(x + step * 0.22, step * 0.56, share / most, _AFTER) + "</g>")
    if names:
        parts += [_text(_LEFT, _HEIGHT - 6, names[0]), _text(_WIDTH - _RIGHT, _HEIGHT - 6, names[-1], "end")]
    return _svg(parts, told)


def trend(points: Sequence[Point], limit: float | None, told: str, *, from_zero: bool = False) -> str:
    """Values over windows, with their intervals and the limit as a broken line."""
    values = [point.value for point in points if point.value is not None]
    ends = [
        end for point in points for end in (point.lower, point.upper) if end is not None and point.value is not None
    ]
    every = [value for value in (*values, *ends, limit) if value is not None]
    low, high = _range([*every, 0.0] if from_zero else every)
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(points), 1)
    parts = [_grid([low, high], low, high)]
    if limit is not None:
        y = _y(limit, low, high)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#b3261e" '
            'stroke-width="1" stroke-dasharray="4 3"/>'
        )
    places = [(_LEFT + step * (place + 0.5), point) for place, point in enumerate(points)]
    drawn = [f"{x:.1f},{_y(point.value, low, high):.1f}" for x, point in places if point.value is not None]
    if len(drawn) > 1:
        parts.append(f'<polyline points="{" ".join(drawn)}" fill="none" stroke="{_AFTER}" stroke-width="1.4"/>')
    parts += [_dot(x, point, low, high) for x, point in places if point.value is not None]
    every_nth = max(1, -(-len(points) // _MOST_TICKS))
    ticks = list(enumerate(places))[::every_nth]
    parts += [_text(x, _HEIGHT - 6, point.name, "middle") for _, (x, point) in ticks]
    return _svg(parts, told)


def heatmap(windows: Sequence[str], values: Mapping[str, Sequence[float | None]], told: str) -> str:
    """A row a name and a column a window, each value written in its cell; the colour is full at 0.5.

    values: name → its value in each window, None where there is none.
    """
    left, cell, row, top = 8.0 + 6.4 * max(map(len, values), default=0), 64.0, 20.0, 26.0
    width, height = left + cell * len(windows) + 8, top + row * len(values) + 6
    parts = [_text(left + cell * (at + 0.5), top - 9, name, "middle") for at, name in enumerate(windows)]
    for place, (name, cells) in enumerate(values.items()):
        y = top + row * place
        parts.append(_label(left - 6, y + 14, name))
        for at, value in enumerate(cells):
            parts.append(_cell(left + cell * at, y, cell, row, value))
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    drawn = f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" role="img" '
        f'aria-label="{escape(told, quote=True)}">{drawn}</svg>'
    )


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="end" font-size="11" fill="{_INK}">{escape(text)}</text>'


def _cell(x: float, y: float, width: float, height: float, value: float | None) -> str:
    share = 0.0 if value is None else min(value / _FULL, 1.0)
    # From white to a dark orange, by its share.
    red, green, blue = (round(255 + share * (end - 255)) for end in (194, 87, 26))
    fill = "#eef0f2" if value is None else f"rgb({red},{green},{blue})"
    ink, told = "#fff" if share > 0.6 else _INK, "" if value is None else f"{value:.2f}"
    box = f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{height - 2:.1f}" fill="{fill}"/>'
    middle = f'x="{x + width / 2:.1f}" y="{y + 14:.1f}" text-anchor="middle"'
    return f'{box}<text {middle} font-size="11" fill="{ink}">{told}</text>'


def _dot(x: float, point: Point, low: float, high: float) -> str:
    value = 0.0 if point.value is None else point.value
    y, colour = _y(value, low, high), COLOURS[point.state]
    interval, told = "", ""
    if point.lower is not None and point.upper is not None:
        first, last = _y(point.lower, low, high), _y(point.upper, low, high)
        interval = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{first:.1f}" y2="{last:.1f}" stroke="{colour}"/>'
        told = f" ({point.lower:.4g} to {point.upper:.4g})"
    fill = "#fff" if point.state == "not enough data" else colour
    title = f"<title>{escape(point.name)}: {value:.4g}{told}, {point.state}</title>"
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>'
    return f"<g>{title}{interval}{dot}</g>"


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis; from 0 unless that would flatten everything."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    room = (high - low or abs(high) or 1.0) * 0.08
    return (low if low == 0 else low - room), high + room


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))


def _grid(values: Sequence[float], low: float, high: float, *, percent: bool = False) -> str:
    lines = []
    for value in values:
        y = _y(value, low, high)
        lines.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_AXIS}"/>')
        lines.append(_text(_LEFT - 5, y + 3.5, f"{value:.0%}" if percent else _number(value), "end"))
    return "".join(lines)


def _number(value: float) -> str:
    """The number in a few letters.

    >>> _number(0.12345), _number(28135.0), _number(1_250_000.0)
    ('0.123', '28k', '1.2M')
    """
    if abs(value) < 1_000:
        return f"{value:.3g}"
    return f"{value / 1_000:.0f}k" if abs(value) < 1_000_000 else f"{value / 1_000_000:.1f}M"


def _bar(x: float, width: float, share: float, colour: str) -> str:
    height = (_HEIGHT - _TOP - _BOTTOM) * share
    y = _HEIGHT - _BOTTOM - height
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    shown = text if len(text) <= 14 else f"{text[:13]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="10" fill="{_INK}">{escape(shown)}</text>'


def _svg(parts: Sequence[str], told: str) -> str:
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(told, quote=True)}">{"".join(parts)}</svg>'
