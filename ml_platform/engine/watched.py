"""What is watched: batch predictions, or the log of an endpoint, as one relation that windows are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ml_platform.engine.periods import FORMATS
from ml_platform.engine.plan import literal, quoted
from ml_platform.engine.sql import relation
from ml_platform.records.metric import Task
from ml_platform.records.model import FeatureType
from ml_platform.records.monitor import PREDICTION

WINDOW, AT, MINE, SCORE, FAILED = "__window", "__at", "__mine", "__score", "__failed"
KNOWN_AT = "known_at"


@dataclass(frozen=True)
class Watched:
    """Whose rows are watched.

    table: asset key of the predictions, or of the log. logged: whether it is a log.
    entity, event_time: the columns that name an event. window: a column of the predictions, or hour, day, week or
    month, cut from the event's moment in the timezone. labels: asset key of the table with the labels; None without
    quality. label: its column. where: predicate on the labels' rows.
    redacted: features that a log does not hold in the clear.
    """

    table: str
    logged: bool
    entity: tuple[str, ...]
    event_time: str
    window: str
    timezone: str
    task: Task
    labels: str | None
    label: str
    where: str | None = None
    redacted: tuple[str, ...] = ()


def rows_of(
    watched: Watched, version: int, columns: Mapping[str, str], features: Mapping[str, FeatureType], known: set[str]
) -> str:
    """The query that gives the watched rows: window, moment, whether the champion answered, entity, features, answer.

    An event that was scored again in batch counts once, as it was scored last. Each request of a log counts that is
    traffic: neither what a shadow answered nor what named its version; one that failed was answered by nobody.
    version: the champion's number. columns: the table's, lower-case name → type. known: features that are there.
    """
    named = [f"{value} AS {quoted(name)}" for name, value in _features(watched, columns, features, known).items()]
    failed = "coalesce(error, '') <> ''" if watched.logged and "error" in columns else "FALSE"
    mine = f"model_version = {version}"
    selected = [
        f"{_window(watched, columns)} AS {WINDOW}",
        f"{_moment(watched)} AS {AT}",
        f"{mine} AND NOT {failed} AS {MINE}",
    ]
    selected.append(f"{failed} AS {FAILED}")
    selected += [f"{_entity(watched, name)} AS {quoted(f'__{name}')}" for name in watched.entity]
    selected += [*named, *_answer(watched)]
    table = relation(watched.table)
    if watched.logged:
        aside = [f"NOT coalesce({name}, FALSE)" for name in ("shadow", "named") if name in columns]
        traffic = f" WHERE {' AND '.join(aside)}" if aside else ""
        return f"SELECT {', '.join(selected)} FROM {table}{traffic}"
    of_event = ", ".join(quoted(name) for name in watched.entity)
    last = f"row_number() OVER (PARTITION BY {of_event} ORDER BY processed_at DESC)"
    ranked = f"SELECT *, {last} AS __last FROM {table} WHERE {mine}"
    return f"SELECT {', '.join(selected)} FROM ({ranked}) AS ranked WHERE __last = 1"


def labels_of(watched: Watched, now: datetime, columns: Mapping[str, str]) -> str:
    """The query that gives each event's label as it is known now: entity, moment and label.

    Of labels that came twice, the one that was known last holds; where two that differ were known at the same moment,
    nobody can say which, and the event has none.
    columns: the table's, name → type.
    """
    names = [quoted(name) for name in (*watched.entity, watched.event_time)]
    conditions = [f"{quoted(watched.label)} IS NOT NULL"]
    conditions += [f"({watched.where})"] if watched.where else []
    newest = "1"
    if KNOWN_AT in columns:
        conditions.append(f"{KNOWN_AT} <= CAST({literal(now.isoformat())} AS TIMESTAMPTZ)")
        newest = f"rank() OVER (PARTITION BY {', '.join(names)} ORDER BY {KNOWN_AT} DESC)"
    known = f"SELECT *, {newest} AS __newest FROM {relation(str(watched.labels))} WHERE {' AND '.join(conditions)}"
    label = quoted(watched.label)
    return (
        f"SELECT {', '.join(names)}, min({label}) AS __label FROM ({known}) AS known WHERE __newest = 1 "
        f"GROUP BY {', '.join(names)} HAVING min({label}) = max({label})"
    )


def is_number(kind: str) -> bool:
    """Whether a type of Arrow's, by its name, holds numbers; of a yes or no as well.

    >>> is_number("double"), is_number("decimal128(5, 2)"), is_number("string")
    (True, True, False)
    """
    return kind.startswith(("int", "uint", "float", "halffloat", "double", "decimal", "bool"))


def _features(
    watched: Watched, columns: Mapping[str, str], features: Mapping[str, FeatureType], known: set[str]
) -> dict[str, str]:
    found = {}
    for name, kind in features.items():
        if name == PREDICTION or name not in known:
            continue
        text = f"json_extract_string(features, {literal(_path(name))})"
        if not watched.logged:
            plain = kind != "number" or is_number(columns[name])
            found[name] = quoted(name) if plain else f"CAST({quoted(name)} AS VARCHAR)"
        else:
            found[name] = f"CASE {text} WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE {text} END"
            found[name] = found[name] if kind == "number" else text
    return found


def _answer(watched: Watched) -> list[str]:
    """The prediction, as it is watched, and the score that quality is measured by."""
    if not watched.logged:
        return [f"{PREDICTION} AS {PREDICTION}", f"{PREDICTION} AS {SCORE}"]
    if watched.task != "multiclass":
        return [f"output AS {PREDICTION}", f"output AS {SCORE}"]
    share = "CAST(json_extract(output, '$.\"' || class || '\"') AS DOUBLE)"
    likeliest = f"(SELECT arg_max(class, {share}) FROM (SELECT unnest(json_keys(output)) AS class) AS classes)"
    return [f"{likeliest} AS {PREDICTION}", f"{likeliest} AS {SCORE}"]


def _window(watched: Watched, columns: Mapping[str, str]) -> str:
    if not watched.logged and watched.window in columns:
        return f"CAST({quoted(watched.window)} AS VARCHAR)"
    local = f"timezone({literal(watched.timezone)}, {_moment(watched)})"
    return f"strftime({local}, {literal(FORMATS[watched.window])})"


def _moment(watched: Watched) -> str:
    return "event_time" if watched.logged else quoted(watched.event_time)


def _entity(watched: Watched, name: str) -> str:
    return f"json_extract_string(inputs, {literal(_path(name))})" if watched.logged else quoted(name)


def _path(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'


def schema(found: Any) -> dict[str, str]:
    """Column → type, of an Arrow table."""
    return {field.name: str(field.type) for field in found.schema}
