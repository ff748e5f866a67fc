"""Single rows with late ones and ties among them, and what windows over them hold by the definition, row by row."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ml_platform.engine.aggregates import Aggregate

START = datetime(2013, 1, 1, tzinfo=UTC)
ENTITY = ("origin", "carrier")
FUNCTIONS = ("count", "sum", "mean", "min", "max", "stddev", "last", "distinct_count")
_TIME = pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ENTITY),
        ("event_time", _TIME),
        ("known_at", _TIME),
        ("delay", pa.float64()),
        ("gate", pa.string()),
        ("month", pa.string()),
    ]
)


def at(hours: float) -> datetime:
    """So many hours after the first of the moments."""
    return START + timedelta(hours=hours)


def single_rows(count: int, seed: int = 1) -> pa.Table:
    """Rows of two days on a grid of half hours, so that ties and edges are common; a quarter of them comes late."""
    chance = random.Random(seed)  # noqa: S311 - a test's data
    rows = []
    for _ in range(count):
        event = chance.randrange(0, 96) / 2
        known = event + chance.choice([0, 0, 0, chance.randrange(0, 20) / 2])
        key = (chance.choice(["JFK", "LGA"]), chance.choice(["AA", "UA"]))
        values = (chance.choice([None, round(chance.gauss(0, 50), 2)]), chance.choice([None, "A1", "A2", "B1"]))
        rows.append(dict(zip(_SCHEMA.names, (*key, at(event), at(known), *values, "2013-01"), strict=True)))
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def every_function(*hours: int) -> dict[str, Aggregate]:
    """Feature → aggregate: every function of the delay and what can be told of the gate, over each of the windows."""
    found = {f"{name}_{h}": Aggregate(name, h, "delay") for h in hours for name in FUNCTIONS}  # type: ignore[arg-type]
    for h in hours:
        found |= {
            f"rows_{h}": Aggregate("count", h),
            f"gates_{h}": Aggregate("distinct_count", h, "gate"),
            f"last_gate_{h}": Aggregate("last", h, "gate"),
            f"first_gate_{h}": Aggregate("min", h, "gate"),
        }
    return found


def scan(rows: Sequence[Mapping[str, Any]], entity: tuple[str, str], moment: datetime, each: Aggregate) -> Any:
    """What the aggregate is at a moment, by its definition: over the rows no older than the window and known then."""
    since = moment - timedelta(hours=each.over_hours)
    held = [
        row
        for row in rows
        if (row["origin"], row["carrier"]) == entity
        and since <= row["event_time"] <= moment
        and row["known_at"] <= moment
    ]
    if each.of is None:
        return len(held)
    told = sorted((row["event_time"], row["known_at"], row[each.of]) for row in held if row[each.of] is not None)
    return _of([value for *_, value in told], each.function)


def _of(values: Sequence[Any], function: str) -> Any:
    """values: in the order of event time, then known at, then value."""
    counts = {"count": len(values), "distinct_count": len(set(values))}
    if function in counts:
        return counts[function]
    if not values or (function == "stddev" and len(values) < 2):
        return None
    tell: dict[str, Callable[[Sequence[Any]], Any]] = {
        "min": min,
        "max": max,
        "sum": sum,
        "mean": statistics.fmean,
        "stddev": statistics.stdev,
    }
    return values[-1] if function == "last" else tell[function](values)


def alike(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether every feature is what it is to be; a number to its last digits, since a scan adds in another order."""
    return all(
        found[name] == value
        or (isinstance(value, float) and found[name] is not None and math.isclose(found[name], value, abs_tol=1e-9))
        for name, value in expected.items()
    )
