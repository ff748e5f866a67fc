"""Expectations: what a table declares of its rows, as SQL in DuckDB's dialect and as sentences.

A NULL breaks `not_null` and no other rule, as in an SQL constraint: where a value has to be there, say that as well.
NaN is greater than every number. Rows are `unique` within their partition, so that it does not matter which partitions
are made together, and NULLs are not equal to each other; of rows that share a value none is known to be right, so all
of them break the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ml_platform.engine.plan import literal, quoted
from ml_platform.records.expectation import Kind, Rule, Value

_SHOWN_VALUES = 10


@dataclass(frozen=True)
class Expectations:
    """The rules of a table, in the order of their declaration.

    clock: which clock `freshness` is measured against.
    """

    rules: tuple[Rule, ...] = ()
    clock: Literal["real", "replay"] = "real"

    @property
    def of_rows(self) -> tuple[Rule, ...]:
        """The rules that each row keeps or breaks."""
        return tuple(rule for rule in self.rules if rule.of_rows)

    @property
    def quarantine(self) -> bool:
        """Whether any row can go to the quarantine."""
        return any(rule.severity == "quarantine" for rule in self.rules)

    @property
    def parents(self) -> tuple[str, ...]:
        """Asset keys of the tables that values are looked up in, sorted."""
        return tuple(sorted({rule.parent for rule in self.rules if rule.parent}))

    @property
    def deciding_parents(self) -> tuple[str, ...]:
        """Those of them that decide which rows the table has."""
        return tuple(sorted({rule.parent for rule in self.rules if rule.parent and rule.severity == "quarantine"}))


def flag(position: int) -> str:
    """The column that says whether a row breaks the rule at a position among the rules of rows."""
    return f"_broken_{position}"


def parent_relation(position: int) -> str:
    """The name under which the query of `flagged` reads the parent of the rule at a position."""
    return f"parents.rule_{position}"


def flagged(rows: str, rules: Sequence[Rule], partition: str | None) -> str:
    """The query of the rows with one more boolean column for each rule, `flag(position)`, never NULL.

    rows: what to select from, named `made`. partition: the partition column.
    """
    flags = [
        f"coalesce(NOT ({_passes(rule, position, partition)}), FALSE) AS {flag(position)}"
        for position, rule in enumerate(rules)
    ]
    joins = [_join(rule, position) for position, rule in enumerate(rules) if rule.kind == "references"]
    return f"SELECT {', '.join(['made.*', *flags])} FROM {rows}{''.join(joins)}"


def bad(rules: Sequence[Rule]) -> str:
    """The predicate, over flags, of a row that goes to the quarantine: one that also breaks a failing rule does not.

    >>> bad([Rule("a", "unique"), Rule("b", "unique", "quarantine"), Rule("c", "unique", "warn")])
    '((_broken_1) AND NOT (_broken_0))'
    """
    chosen, failing = (
        " OR ".join(flag(position) for position, rule in enumerate(rules) if rule.severity == severity) or "FALSE"
        for severity in ("quarantine", "fail")
    )
    return f"(({chosen}) AND NOT ({failing}))"


def sentence(rule: Rule) -> str:
    """What is wrong with a row that breaks the rule; it quotes the declaration alone, and is one line.

    >>> sentence(Rule("r", "between", column="humidity_percent", low=0, high=100))
    'humidity_percent is not between 0 and 100'
    """
    return " ".join(_SENTENCES[rule.kind](rule).split())


def sql_value(value: Value) -> str:
    """The value as SQL spells it.

    >>> sql_value(True), sql_value(0.5), sql_value("O'Hare")
    ('TRUE', '0.5', "'O''Hare'")
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return literal(value) if isinstance(value, str) else repr(value)


def _column(name: str) -> str:
    return f"made.{quoted(name)}"


def _parent(position: int) -> str:
    return f"_parent_{position}"


def _join(rule: Rule, position: int) -> str:
    name = _parent(position)
    return (
        f" LEFT JOIN (SELECT DISTINCT {quoted(rule.parent_column)} AS {name} FROM {parent_relation(position)}) "
        f"AS {name}_rows ON {name}_rows.{name} = {_column(rule.column)}"
    )


def _passes(rule: Rule, position: int, partition: str | None) -> str:
    column = _column(rule.column)
    if rule.kind == "unique":
        alike = f"{_column(partition)}, {column}" if partition else column
        return f"{column} IS NULL OR count(*) OVER (PARTITION BY {alike}) = 1"
    if rule.kind == "references":
        return f"{column} IS NULL OR {_parent(position)}_rows.{_parent(position)} IS NOT NULL"
    if rule.kind == "between":
        bounds = ((">=", rule.low), ("<=", rule.high))
        return " AND ".join(f"{column} {sign} {sql_value(bound)}" for sign, bound in bounds if bound is not None)
    if rule.kind == "one_of":
        return f"{column} IN ({', '.join(sql_value(value) for value in rule.values)})"
    if rule.kind == "matches":
        # What DuckDB's regexp_full_match is, said so that other engines have it as well.
        whole = literal(rf"\A(?:{rule.pattern})\z")
        return f"regexp_matches(CAST({column} AS VARCHAR), {whole})"
    return f"{column} IS NOT NULL" if rule.kind == "not_null" else f"({rule.predicate}\n)"


def _between(rule: Rule) -> str:
    if rule.low is None:
        return f"{rule.column} is greater than {rule.high}"
    if rule.high is None:
        return f"{rule.column} is less than {rule.low}"
    return f"{rule.column} is not between {rule.low} and {rule.high}"


def _one_of(rule: Rule) -> str:
    shown = [str(value) for value in rule.values[:_SHOWN_VALUES]]
    return f"{rule.column} is none of {', '.join([*shown, *(['…'] if len(rule.values) > len(shown) else [])])}"


def _row_count(rule: Rule) -> str:
    bounds = (("at least", rule.low), ("at most", rule.high))
    return f"a partition does not have {' and '.join(f'{word} {n}' for word, n in bounds if n is not None)} rows"


_SENTENCES: Mapping[Kind, Callable[[Rule], str]] = {
    "not_null": lambda rule: f"{rule.column} is NULL",
    "unique": lambda rule: f"another row has the same {rule.column}",
    "between": _between,
    "one_of": _one_of,
    "matches": lambda rule: f"{rule.column} does not match {rule.pattern}",
    "references": lambda rule: f"{rule.column} is not in {rule.parent}.{rule.parent_column}",
    "sql": lambda rule: f"it does not hold that {rule.predicate}",
    "row_count": _row_count,
    "freshness": lambda rule: f"the newest {rule.column} is older than {rule.max_hours:g} hours",
}
