"""Counting: what the rows of every window amount to, by bin, so that memory follows from bins and not from rows.

One query bins every number by its cuts, and one counts each category's values; what comes back is a row a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ml_platform.engine.distributions import MISSING, UNREADABLE, Bins, Counts
from ml_platform.engine.encoding import spelled
from ml_platform.engine.plan import literal, quoted
from ml_platform.engine.quality import PROBABILITY_BINS, Labelled
from ml_platform.engine.recipe import Fetch
from ml_platform.engine.watched import AT, FAILED, MINE, SCORE, WINDOW, Watched
from ml_platform.records.metric import Task

_MOST_VALUES = 10_000
_ROWS = "watched_rows"


@dataclass(frozen=True)
class Window:
    """One window in counts. rows: of every version; mine: of the champion; failed: that were not answered.

    newest: the last event's moment.
    """

    name: str
    rows: int
    mine: int
    newest: datetime | None
    counts: Mapping[str, Counts] = field(default_factory=dict)
    labelled: Labelled = field(default_factory=Labelled)
    failed: int = 0


def count(rows: str, features: Mapping[str, Bins], latest: int, fetch: Fetch) -> list[Window]:
    """The latest windows, in order, with what was counted of each feature. rows: the query of the watched rows."""
    told = fetch(
        f"SELECT {WINDOW} AS w, count(*) AS n, count(*) FILTER ({MINE}) AS mine, "
        f"count(*) FILTER ({FAILED}) AS failed, max({AT}) AS newest "
        f"FROM ({rows}) AS {_ROWS} WHERE {WINDOW} IS NOT NULL GROUP BY 1 ORDER BY 1 DESC LIMIT {latest}"
    ).to_pylist()[::-1]
    if not told:
        return []
    since = literal(told[0]["w"])
    mine = f"SELECT * FROM ({rows}) AS {_ROWS} WHERE {MINE} AND {WINDOW} >= {since}"
    found: dict[str, dict[str, dict[Any, int]]] = {row["w"]: {} for row in told}
    numbers = {name: bins for name, bins in features.items() if bins.kind == "number"}
    for window, name, by_bin in _binned(mine, numbers, fetch):
        found[window][name] = by_bin
    for name in features.keys() - numbers.keys():
        for row in _valued(mine, name, fetch):
            by_value = found[row["w"]].setdefault(name, {})
            value = MISSING if row["v"] is None or row["v"] != row["v"] else spelled(row["v"])
            by_value[value] = by_value.get(value, 0) + row["n"]
    return [
        Window(
            row["w"],
            row["n"],
            row["mine"],
            row["newest"],
            {name: Counts(by_bin) for name, by_bin in found[row["w"]].items()},
            failed=row["failed"],
        )
        for row in told
    ]


def label(
    rows: str, labels: str, watched: Watched, since: str, due_before: datetime, fetch: Fetch
) -> dict[str, Labelled]:
    """Window → its labelled rows, of the champion's answers; an event that was asked twice counts once, as it was last.

    rows, labels: the queries of `watched`. since: the first window. due_before: events before it should have a label.
    """
    of_event = ", ".join(quoted(f"__{name}") for name in watched.entity)
    last = f"row_number() OVER (PARTITION BY {of_event}, {AT} ORDER BY {AT})"
    mine = f"SELECT *, {last} AS __once FROM ({rows}) AS {_ROWS} WHERE {MINE} AND {WINDOW} >= {literal(since)}"
    same = [f"CAST(l.{quoted(it)} AS VARCHAR) = CAST(r.{quoted(f'__{it}')} AS VARCHAR)" for it in watched.entity]
    same.append(f"l.{quoted(watched.event_time)} = r.{AT}")
    due = f"r.{AT} < CAST({literal(due_before.isoformat())} AS TIMESTAMPTZ)"
    joined = (
        f"SELECT r.{WINDOW} AS w, {due} AS due, l.__label AS label, r.{SCORE} AS score "
        f"FROM ({mine}) AS r LEFT JOIN ({labels}) AS l ON {' AND '.join(same)} WHERE r.__once = 1"
    )
    sums = ", ".join(f"sum({value}) AS {quoted(name)}" for name, value in _sums(watched.task).items())
    place = _place(watched.task)
    told = fetch(
        f"SELECT w, place, truth, count(*) AS n, count(*) FILTER (due) AS due, "
        f"count(*) FILTER (due AND label IS NOT NULL) AS came, {sums} "
        f"FROM (SELECT *, {place} AS place, {_truth(watched.task)} AS truth FROM ({joined}) AS joined) AS placed "
        "GROUP BY w, place, truth ORDER BY w, place, truth"
    ).to_pylist()
    by_window: dict[str, list[dict[str, Any]]] = {}
    for row in told:
        by_window.setdefault(row["w"], []).append(row)
    return {name: _labelled(watched.task, group) for name, group in by_window.items()}


def _binned(mine: str, numbers: Mapping[str, Bins], fetch: Fetch) -> Iterator[tuple[str, str, dict[int, int]]]:
    """Window, feature and its rows by bin, of every number, in one pass over the rows."""
    if not numbers:
        return
    columns = []
    for place, (name, bins) in enumerate(numbers.items()):
        value = f"TRY_CAST({quoted(name)} AS DOUBLE)"
        cuts = ", ".join(map(_double, bins.cuts))
        # Each bin of DuckDB's histogram ends with its cut; NaN would fall into the first.
        columns.append(f"histogram(CASE WHEN isnan({value}) THEN NULL ELSE {value} END, [{cuts}]) AS h{place}")
        columns.append(f"count(*) FILTER ({quoted(name)} IS NULL OR isnan({value})) AS m{place}")
        columns.append(f"count(*) FILTER ({quoted(name)} IS NOT NULL AND {value} IS NULL) AS u{place}")
    told = fetch(f"SELECT {WINDOW} AS w, {', '.join(columns)} FROM ({mine}) AS mine GROUP BY 1").to_pylist()
    for row in told:
        for place, name in enumerate(numbers):
            filled = sorted(dict(row[f"h{place}"] or ()).items())
            by_bin = {position: many for position, (_, many) in enumerate(filled) if many}
            beside = {MISSING: row[f"m{place}"], UNREADABLE: row[f"u{place}"]}
            yield row["w"], name, by_bin | {bin_: many for bin_, many in beside.items() if many}


def _double(value: float) -> str:
    """The number as an SQL double; without an exponent it would be a decimal, and be rounded once more.

    >>> _double(0.1), _double(1e-07)
    ('0.1e0', '1e-07')
    """
    written = repr(float(value))
    return written if "e" in written else f"{written}e0"


def _valued(mine: str, name: str, fetch: Fetch) -> list[dict[str, Any]]:
    """A category's values by window; the rarest of very many go by one name, which no baseline has."""
    counted = f"SELECT {WINDOW} AS w, {quoted(name)} AS v, count(*) AS n FROM ({mine}) AS mine GROUP BY ALL"
    ranked = f"SELECT *, row_number() OVER (PARTITION BY w ORDER BY n DESC, v) AS place FROM ({counted}) AS counted"
    kept = f"SELECT w, v, n FROM ({ranked}) AS ranked WHERE place <= {_MOST_VALUES}"
    found: list[dict[str, Any]] = fetch(kept).to_pylist()
    rest = f"SELECT w, sum(n) AS n FROM ({ranked}) AS ranked WHERE place > {_MOST_VALUES} GROUP BY w"
    if len(found) >= _MOST_VALUES:
        found += [{"w": row["w"], "v": "(rarer values)", "n": int(row["n"])} for row in fetch(rest).to_pylist()]
    return found


def _place(task: Task) -> str:
    if task != "binary":
        return "0"
    return f"CAST(floor(least(greatest(score, 0.0), 0.999999999) * {PROBABILITY_BINS}) AS INTEGER)"


def _truth(task: Task) -> str:
    known = "label IS NOT NULL AND score IS NOT NULL"
    if task == "binary":
        return f"CASE WHEN {known} AND NOT isnan(score) THEN CAST(CAST(label AS BOOLEAN) AS INTEGER) END"
    return f"CASE WHEN {known} THEN 1 END"


def _sums(task: Task) -> dict[str, str]:
    """What is added up of the labelled rows: each metric that is a mean, and its square."""
    if task == "binary":
        given = "CASE WHEN truth = 1 THEN score ELSE 1 - score END"
        means = {
            "log_loss": f"-ln(least(greatest({given}, 2.220446049250313e-16), 1.0))",
            "brier": f"(1 - {given}) * (1 - {given})",
        }
    elif task == "regression":
        off = "CAST(label AS DOUBLE) - CAST(score AS DOUBLE)"
        means = {"mae": f"abs({off})", "mse": f"({off}) * ({off})"}
    else:
        means = {"accuracy": "CASE WHEN CAST(label AS VARCHAR) = CAST(score AS VARCHAR) THEN 1e0 ELSE 0e0 END"}
    squares = {f"{name}__squared": f"({value}) * ({value})" for name, value in means.items()}
    known = "truth IS NOT NULL"
    return {name: f"CASE WHEN {known} THEN {value} END" for name, value in {**means, **squares}.items()}


def _labelled(task: Task, group: Sequence[Mapping[str, Any]]) -> Labelled:
    known = [row for row in group if row["truth"] is not None]
    names = [name for name in _sums(task) if not name.endswith("__squared")]
    sums = {n: (sum(row[n] for row in known), sum(row[f"{n}__squared"] for row in known)) for n in names}
    counts = {1: [0] * PROBABILITY_BINS, 0: [0] * PROBABILITY_BINS} if task == "binary" else {}
    for row in known if counts else ():
        counts[row["truth"]][row["place"]] += row["n"]
    return Labelled(
        rows=sum(row["n"] for row in known),
        sums=sums,
        positives=counts.get(1, ()),
        negatives=counts.get(0, ()),
        due=sum(row["due"] for row in group),
        came=sum(row["came"] for row in group),
    )
