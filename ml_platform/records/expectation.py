"""Expectations as they travel: one rule about a table's rows, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ml_platform.records.table import TableSnapshot

Severity = Literal["warn", "quarantine", "fail"]
Kind = Literal["not_null", "unique", "between", "one_of", "matches", "references", "sql", "row_count", "freshness"]
Value = str | int | float | bool

OF_TABLES = ("row_count", "freshness")


@dataclass(frozen=True)
class Rule:
    """One thing that is expected of a table's rows, or of the table.

    name: its own among the rules of the table; letters, digits and underscores.
    column: the column that it is about; empty for a predicate and for a count of rows.
    low, high: bounds, inclusive; None is open. A text is compared as the column's type, for instance a date.
    values: what a value may be one of. pattern: an RE2 pattern of the whole text.
    parent, parent_column: the asset key of the table, and its column, that values are looked up in.
    predicate: an SQL expression over the row's columns. max_hours: the greatest age of the newest value.
    """

    name: str
    kind: Kind
    severity: Severity = "fail"
    column: str = ""
    low: Value | None = None
    high: Value | None = None
    values: tuple[Value, ...] = ()
    pattern: str = ""
    parent: str = ""
    parent_column: str = ""
    predicate: str = ""
    max_hours: float = 0

    @property
    def of_rows(self) -> bool:
        """Whether it is kept or broken by each row, and not by the table as a whole."""
        return self.kind not in OF_TABLES


@dataclass(frozen=True)
class Outcome:
    """What became of a rule.

    broken: how many rows break it; for a rule about the table, how many partitions do, or 1.
    said: what is wrong with them, or what is expected, one sentence. examples: a few of them, as a person reads them.
    """

    rule: Rule
    broken: int
    said: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """What came of holding a table against its rules.

    outcomes: one for each rule, in the order of the declaration.
    rows_in: rows that came and were sifted, good and bad; rows_out: the good ones. Both 0 where nothing was made, or no
    rule sends rows to a quarantine.
    quarantine: what stands in the quarantine of the partitions that were asked for; None where the table has none.
    """

    outcomes: tuple[Outcome, ...] = ()
    rows_in: int = 0
    rows_out: int = 0
    quarantine: TableSnapshot | None = None
