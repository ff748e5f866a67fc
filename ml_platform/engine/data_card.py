"""The data card of a training set: what is in it, how its splits differ, and what a reader has to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ml_platform.engine.drift import DriftRules, category_statistics, measure, number_statistics
from ml_platform.engine.plan import quoted
from ml_platform.engine.recipe import Fetch
from ml_platform.records.model import FeatureType

ROWS = "training.rows"
# A label of more values is no class but a quantity.
_MOST_VALUES = 20
_RULES = DriftRules(minimum_rows=1)


@dataclass(frozen=True)
class Contents:
    """What a card is of. entity, event_time, label: columns of the training set; features: name → type."""

    entity: tuple[str, ...]
    event_time: str
    label: str
    features: Mapping[str, FeatureType]


def measured(contents: Contents, fetch: Fetch) -> dict[str, Any]:
    """What the card says, as JSON can. fetch: asks queries over the training set, which they call `training.rows`.

    `splits`: rows, first and last event, and mean of the label of each, which of a yes or no is the share of yes.
    `balance`: value of the label → split → its share there, of a label with few values. `features`: null share in each
    split, and the population stability index of validate and test against train. `repeated`: rows that share entity and
    event time with another one; they are kept.
    """
    splits = _splits(contents, fetch)
    names = [row["split"] for row in splits]
    nulls = _null_shares(contents, fetch)
    features = [
        {"feature": name, "type": kind, "null_share": nulls[name], "psi": _drift(name, kind, names, fetch)}
        for name, kind in contents.features.items()
    ]
    balance = _balance(contents, {row["split"]: row["rows"] for row in splits}, fetch)
    return {"splits": splits, "balance": balance, "features": features, "repeated": _repeated(contents, fetch)}


def markdown(key: str, description: str, said: Mapping[str, Any], read: Sequence[Mapping[str, Any]]) -> str:
    """The card as a page. read: the tables that it was made from, each with its version and fingerprint."""
    splits = [row["split"] for row in said["splits"]]
    lines = [f"# {key}", "", description, "", "## Splits", ""]
    lines += _table(
        ("split", "rows", "mean of the label", "first event", "last event"),
        [
            (r["split"], f"{r['rows']:,}", _share(r["label_mean"]), r["first_event"], r["last_event"])
            for r in said["splits"]
        ],
    )
    if said["balance"]:
        rows = [
            (value, *(_share(shares.get(name, 0.0)) for name in splits)) for value, shares in said["balance"].items()
        ]
        lines += ["", "## Label", "", *_table(("value", *(f"share, {name}" for name in splits)), rows)]
    lines += [
        "",
        f"Rows that share entity and event time with another one: {said['repeated']:,}.",
        "",
        "## Features",
        "",
    ]
    lines += _table(
        (
            "feature",
            "type",
            *(f"missing, {name}" for name in splits),
            *(f"moved, {name}" for name in splits if name != "train"),
        ),
        [_row(feature, splits) for feature in said["features"]],
    )
    lines += ["", "*moved*: population stability index against train; 0.25 is the usual mark of a major shift.", ""]
    lines += ["## Made from", "", *_table(("table", "version", "fingerprint"), [tuple(row.values()) for row in read])]
    return "\n".join([*lines, ""])


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _row(feature: Mapping[str, Any], splits: Sequence[str]) -> tuple[str, ...]:
    missing = (f"{feature['null_share'][name]:.4f}" for name in splits)
    moved = (f"{feature['psi'][name]:.4f}" for name in splits if name in feature["psi"])
    return (feature["feature"], feature["type"], *missing, *moved)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [f"| {' | '.join(str(cell) for cell in row)} |" for row in (head, ["---"] * len(head), *rows)]


def _splits(contents: Contents, fetch: Fetch) -> list[dict[str, Any]]:
    at = quoted(contents.event_time)
    rows = fetch(
        f"SELECT split, count(*) AS rows, avg(TRY_CAST({quoted(contents.label)} AS DOUBLE)) AS label_mean, "
        f"min({at}) AS first_event, max({at}) AS last_event FROM {ROWS} GROUP BY split ORDER BY first_event, split"
    ).to_pylist()
    return [{**row, "first_event": str(row["first_event"]), "last_event": str(row["last_event"])} for row in rows]


def _balance(contents: Contents, rows: Mapping[str, int], fetch: Fetch) -> dict[str, dict[str, float]]:
    label = quoted(contents.label)
    counts = fetch(
        f"SELECT CAST({label} AS VARCHAR) AS value, split, count(*) AS rows FROM {ROWS} "
        f"WHERE {label} IN (SELECT {label} FROM {ROWS} GROUP BY {label} ORDER BY {label} LIMIT {_MOST_VALUES + 1}) "
        "GROUP BY value, split ORDER BY value, split"
    ).to_pylist()
    if len({row["value"] for row in counts}) > _MOST_VALUES:
        return {}
    found: dict[str, dict[str, float]] = {}
    for row in counts:
        found.setdefault(row["value"], {})[row["split"]] = row["rows"] / rows[row["split"]]
    return found


def _null_shares(contents: Contents, fetch: Fetch) -> dict[str, dict[str, float]]:
    """Feature → split → share of rows without a value."""
    shares = ", ".join(
        f"avg(CASE WHEN {it} IS NULL THEN 1.0 ELSE 0.0 END) AS {it}" for it in map(quoted, contents.features)
    )
    rows = fetch(f"SELECT split, {shares} FROM {ROWS} GROUP BY split ORDER BY split").to_pylist()
    return {name: {row["split"]: float(row[name]) for row in rows} for name in contents.features}


def _drift(name: str, kind: FeatureType, splits: Sequence[str], fetch: Fetch) -> dict[str, float]:
    """Split → how far a feature's values there are from those in train; one feature's values are held at a time."""
    rows = fetch(f"SELECT split, {quoted(name)} AS value FROM {ROWS}")
    split = rows["split"].to_numpy()
    values = _values(rows["value"], kind)
    train = values[split == "train"]
    statistics = category_statistics(train.tolist()) if kind == "category" else number_statistics(train)
    of = {other: values[split == other] for other in splits if other != "train"}
    found = {
        other: measure(name, statistics, part.tolist() if kind == "category" else part, _RULES).psi
        for other, part in of.items()
    }
    return {other: psi for other, psi in found.items() if psi is not None}


def _values(column: pa.ChunkedArray, kind: FeatureType) -> Any:
    if kind == "category":
        return column.cast(pa.string()).to_numpy()
    return column.cast(pa.float64()).to_numpy()


def _repeated(contents: Contents, fetch: Fetch) -> int:
    names = ", ".join(quoted(it) for it in (*contents.entity, contents.event_time))
    groups = f"SELECT count(*) AS many FROM {ROWS} GROUP BY {names}"
    (row,) = fetch(f"SELECT COALESCE(sum(many), 0) AS rows FROM ({groups}) AS named WHERE many > 1").to_pylist()
    return int(row["rows"])
