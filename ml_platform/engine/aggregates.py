"""Windowed aggregates: a query of single rows made one of what their windows hold, at every moment that one changes.

At a moment t a window of w hours holds the rows with `t - w ≤ event_time ≤ t` that were known by then. So a row comes
in at the later of its event time and its known at, and goes out a microsecond, the grain of time, after its event time
plus w; one that is known later than that never comes in. The result has a row for each entity and each such moment,
which holds until the entity's next one: the ordinary as-of rule gives every window as it was, at any moment, offline
and online.

Sums, and what is made of them, are sums of whole numbers: a value is taken to so many `decimals`. They are the same in
any order and on every engine, and what has gone out leaves no trace behind. An empty window has the count 0, and no
other value. `last` is of the latest event; of equal ones, of the one known last; of these, the greatest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from ml_platform.engine import windows
from ml_platform.engine.plan import made, quoted

Function = Literal["count", "sum", "mean", "min", "max", "stddev", "last", "distinct_count"]

_MONTH_HOURS = 28 * 24
_SLACK_HOURS = 48
_EXACT = "DECIMAL(38, 0)"


@dataclass(frozen=True)
class Aggregate:
    """What is told of a window. of: the column, None for a count of rows; decimals: of the values that are summed."""

    function: Function
    over_hours: int
    of: str | None = None
    decimals: int = 6


def months_around(aggregates: Mapping[str, Aggregate]) -> int:
    """How many monthly partitions before and after its own a partition of such rows is made from.

    A row's partition may begin up to two days away from where its event time says.

    >>> months_around({"arrivals": Aggregate("count", over_hours=168)})
    1
    """
    return ceil((max(each.over_hours for each in aggregates.values()) + _SLACK_HOURS) / _MONTH_HOURS)


def compiled(query: str, entity: Sequence[str], partition: str | None, aggregates: Mapping[str, Aggregate]) -> str:
    """The query, in DuckDB's dialect, of the entity, `event_time`, `known_at`, each aggregate and the partition.

    query: gives the entity, `event_time`, `known_at`, what is aggregated and the partition; equal rows count twice.
    partition: a moment's row stands in the least partition of the rows that come or go then.
    A row without an event time or a known at gives one without either, which no audit lets pass.
    """
    told = _Told([quoted(column) for column in entity], quoted(partition) if partition else "")
    values = {name: told.value(each) for name, each in aggregates.items()}
    columns = [
        *(f"r.{key}" for key in told.keys),
        'r."__at" AS "event_time"',
        'r."__at" AS "known_at"',
        *(f"{value} AS {quoted(name)}" for name, value in values.items()),
        *([f"r.{told.partition}"] if told.partition else []),
    ]
    parts = {"__rows": windows.USABLE.format(query=made(query)), **told.changes(), **told.parts}
    before = ",\n".join(f'"{name}" AS ({text})' for name, text in parts.items())
    joins = "".join(f'\nLEFT JOIN "{it}" ON {windows.same(quoted(it), "r", told.keys)}' for it in told.parts)
    return f'WITH {before}\nSELECT {", ".join(columns)}\nFROM "__running" AS r{joins}'


class _Told:
    """What aggregates need to be told, each once.

    sums: window and expression over a row → the running sum of it. distinct: window and column → the same of its
    distinct values. parts: the queries that are joined to `__running`.
    """

    def __init__(self, keys: Sequence[str], partition: str) -> None:
        self.keys = keys
        self.partition = partition
        self.parts: dict[str, str] = {}
        self._sums: dict[tuple[int, str], str] = {}
        self._distinct: dict[tuple[int, str], str] = {}

    def value(self, each: Aggregate) -> str:
        """The aggregate, as an expression over `__running` as r and the parts."""
        self._sum(each.over_hours, "1")
        if each.of is None:
            return _whole(self._sum(each.over_hours, "1"))
        of = quoted(each.of)
        if each.function == "distinct_count":
            name = f'"__distinct{len(self._distinct)}"'
            return _whole(f"r.{self._distinct.setdefault((each.over_hours, of), name)}")
        if each.function == "last":
            part = self._part(windows.last(self.keys, of))
            since = f'r."__at" - {windows.interval(each.over_hours)}'
            return f'CASE WHEN {part}."__about" >= {since} THEN {part}."__value" END'
        count = self._sum(each.over_hours, f"CASE WHEN {of} IS NULL THEN 0 ELSE 1 END")
        if each.function == "count":
            return _whole(count)
        if each.function in ("min", "max"):
            return self._extreme(each, of, count)
        return self._of_sums(each, of, count)

    def changes(self) -> dict[str, str]:
        """The queries of all moments at which a window changes."""
        names = [*self._sums.values(), *self._distinct.values()]
        steps = [
            windows.steps(self.keys, self.partition, hours, self._added(hours), names)
            for hours in sorted({hours for hours, _ in self._sums})
        ]
        steps += [
            windows.distinct_steps(self.keys, self.partition, hours, of, own, names)
            for (hours, of), own in self._distinct.items()
        ]
        return {"__steps": " UNION ALL ".join(steps), **windows.changes(self.keys, self.partition, names)}

    def _added(self, hours: int) -> dict[str, str]:
        return {name: expression for (of, expression), name in self._sums.items() if of == hours}

    def _sum(self, hours: int, expression: str) -> str:
        return f"r.{self._sums.setdefault((hours, expression), quoted(f'__sum{len(self._sums)}'))}"

    def _part(self, query: str) -> str:
        """The name, quoted, of a query that is joined."""
        known = {text: name for name, text in self.parts.items()}
        name = known.get(query, f"__part{len(self.parts)}")
        self.parts[name] = query
        return quoted(name)

    def _extreme(self, each: Aggregate, of: str, count: str) -> str:
        came = self._part(windows.extreme_of_those_that_came(self.keys, each.over_hours, each.function, of))
        held = self._part(
            windows.extreme_of_those_held(self.keys, each.over_hours, each.function, of, came.strip('"'), count)
        )
        return f'CASE WHEN {came}."__count" = {count} THEN {came}."__value" ELSE {held}."__value" END'

    def _of_sums(self, each: Aggregate, of: str, count: str) -> str:
        unit = f"CAST({10**each.decimals} AS DOUBLE)"
        exact = f"CAST(round(CAST({of} AS DOUBLE) * {unit}) AS {_EXACT})"
        total = self._sum(each.over_hours, f"COALESCE({exact}, CAST(0 AS {_EXACT}))")
        if each.function == "sum":
            return f"CASE WHEN {count} > 0 THEN CAST({total} AS DOUBLE) / {unit} END"
        if each.function == "mean":
            # One division of two whole numbers: the mean, rounded once.
            return f"CASE WHEN {count} > 0 THEN CAST({total} AS DOUBLE) / (CAST({count} AS DOUBLE) * {unit}) END"
        squares = self._sum(each.over_hours, f"COALESCE({exact} * {exact}, CAST(0 AS {_EXACT}))")
        spread = f"CAST(CAST({count} AS {_EXACT}) * {squares} - {total} * {total} AS DOUBLE)"
        degrees = f"CAST({count} * ({count} - 1) AS DOUBLE)"
        return f"CASE WHEN {count} > 1 THEN sqrt({spread} / {degrees}) / {unit} END"


def _whole(number: str) -> str:
    return f"CAST({number} AS BIGINT)"
