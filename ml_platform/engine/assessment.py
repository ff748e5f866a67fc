"""An assessment: what became of each rule, looked up in the rows that a table is about to have, or has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from ml_platform.engine import clock
from ml_platform.engine.expectations import flag, flagged, parent_relation, sentence
from ml_platform.engine.plan import quoted
from ml_platform.engine.recipe import Recipe
from ml_platform.errors import AuditError, PlatformError, RefusedError, ServiceError, TransientServiceError, nearest
from ml_platform.records.expectation import Outcome, Rule
from ml_platform.records.table import StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

_ROWS = "staged.rows"
_EXAMPLES = 3


class BrokenRulesError(AuditError):
    """Rows break a rule that does not let them pass.

    outcomes: what became of every rule of the table.
    """

    def __init__(self, key: str, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        broken = [it for it in outcomes if it.broken and it.rule.severity == "fail"]
        told = "; ".join(f"{it.rule.name}, {it.broken:,} times: {it.said}{_shown(it)}" for it in broken)
        super().__init__(
            f"{key} breaks {', '.join(it.rule.name for it in broken)}, but that fails the run: {told}",
            allowed="severity: warn lets such rows pass, quarantine sets them apart",
            remedy="Mend the rows or the rule; the table still stands at its last version",
        )


@dataclass(frozen=True)
class Assessment:
    """The rules of a recipe, the tables that they look values up in, and what they are measured with."""

    recipe: Recipe
    parents: Mapping[str, TableSnapshot]
    lakehouse: Lakehouse
    compute: Compute

    def outcomes(
        self, table: StagedFiles, partitions: Collection[str], quarantined: StagedFiles | None
    ) -> tuple[Outcome, ...]:
        """One outcome for each rule, in the order of the declaration.

        table: its rows as they will stand, or do. partitions: of which the rows are looked at; an age is the whole
        table's. quarantined: the same rows of its quarantine, None where no rule sends any there.
        Raises BrokenRulesError where rows break a rule that fails, AuditError for a rule about a column that is not
        there and for one that does not run.
        """
        expects, shape = self.recipe.expects, self.recipe.shape
        if not expects.rules:
            return ()
        require_columns(self.recipe.key, expects.rules, table.schema.names, self.parents)
        rows = within(table, shape.partition, partitions)
        found = {
            **self._of_rows(rows, [rule for rule in expects.of_rows if rule.severity != "quarantine"]),
            **self._of_quarantine(quarantined, [rule for rule in expects.rules if rule.severity == "quarantine"]),
            **{
                rule.name: _of_counts(rule, rows, shape.partition, partitions)
                for rule in _of(expects.rules, "row_count")
            },
            **{rule.name: self._of_age(rule, table) for rule in _of(expects.rules, "freshness")},
        }
        done = tuple(found[rule.name] for rule in expects.rules)
        if any(it.broken and it.rule.severity == "fail" for it in done):
            raise BrokenRulesError(self.recipe.key, done)
        return done

    def _of_rows(self, rows: StagedFiles, rules: Sequence[Rule]) -> dict[str, Outcome]:
        if not rules:
            return {}
        flags = flagged(f"{_ROWS} AS made", rules, self.recipe.shape.partition)
        relations = {_ROWS: rows, **parent_relations(rules, self.parents)}
        sums = ", ".join(f"sum(CAST({flag(at)} AS BIGINT)) AS {flag(at)}" for at in range(len(rules)))
        try:
            counts = self.compute.fetch(f"SELECT {sums} FROM ({flags}) AS flagged", relations).to_pylist()[0]
        except ServiceError as error:
            raise blamed(error, self.recipe, rules, rows, self.parents, self.compute) from error
        return {
            rule.name: Outcome(
                rule,
                int(counts[flag(at)] or 0),
                sentence(rule),
                self._examples(f"({flags}) AS flagged WHERE {flag(at)}", rule, relations) if counts[flag(at)] else (),
            )
            for at, rule in enumerate(rules)
        }

    def _examples(self, rows: str, rule: Rule, relations: Mapping[str, StagedFiles]) -> tuple[str, ...]:
        names = relations[_ROWS].schema.names
        shown = list(dict.fromkeys([*self.recipe.shape.key, *([rule.column] if rule.column else [])])) or names
        columns = ", ".join(quoted(column) for column in shown)
        found = self.compute.fetch(f"SELECT {columns} FROM {rows} ORDER BY {columns} LIMIT {_EXAMPLES}", relations)
        return tuple(", ".join(f"{name}={_text(value)}" for name, value in row.items()) for row in found.to_pylist())

    def _of_quarantine(self, quarantined: StagedFiles | None, rules: Sequence[Rule]) -> dict[str, Outcome]:
        if quarantined is None:
            return {}
        query = f'SELECT reason, count(*) AS rows, min("row") AS example FROM {_ROWS} GROUP BY reason ORDER BY reason'
        kept = self.compute.fetch(query, {_ROWS: quarantined}).to_pylist()
        return {rule.name: _of_reasons(rule, kept) for rule in rules}

    def _of_age(self, rule: Rule, table: StagedFiles) -> Outcome:
        query = f"SELECT max({quoted(rule.column)}) AS newest FROM {_ROWS}"
        newest = self.compute.fetch(query, {_ROWS: table})["newest"].to_pylist()[0]
        if newest is None:
            return Outcome(rule, 1, f"there is no newest {rule.column}, for no row has one")
        now = clock.now(self.lakehouse, self.recipe.expects.clock)
        old = now - _moment(newest, rule, self.recipe.key) > timedelta(hours=rule.max_hours)
        return Outcome(
            rule, int(old), sentence(rule), (f"{rule.column}={_text(newest)}, now={_text(now)}",) if old else ()
        )


def parent_relations(rules: Sequence[Rule], parents: Mapping[str, TableSnapshot]) -> dict[str, StagedFiles]:
    """What `expectations.flagged` reads beside the rows, by the names that it uses."""
    return {parent_relation(at): parents[rule.parent] for at, rule in enumerate(rules) if rule.kind == "references"}


def require_columns(
    key: str, rules: Sequence[Rule], columns: Sequence[str], parents: Mapping[str, TableSnapshot]
) -> None:
    """Returns when every column that a rule names is there; else raises AuditError, naming the nearest."""
    for rule in rules:
        for table, column, known in (
            (key, rule.column, columns),
            (rule.parent, rule.parent_column, parents[rule.parent].schema.names if rule.parent else ()),
        ):
            if column and column not in known:
                raise AuditError(
                    f"{table} has no column {column}, but the rule {rule.name} of {key} is about it",
                    allowed=nearest(column, known),
                )


def blamed(
    error: ServiceError,
    recipe: Recipe,
    rules: Sequence[Rule],
    rows: StagedFiles,
    parents: Mapping[str, TableSnapshot],
    compute: Compute,
) -> PlatformError:
    """The error for rules that did not run over these rows: it names the first that does not run alone.

    error: what the service said of all of them together; it stands where each runs alone.
    """
    if isinstance(error, RefusedError | TransientServiceError):
        return error
    for rule in rules:
        flags = flagged(f"{_ROWS} AS made", [rule], recipe.shape.partition)
        query = f"SELECT sum(CAST({flag(0)} AS BIGINT)) AS broken FROM ({flags}) AS flagged"
        try:
            compute.fetch(query, {_ROWS: rows, **parent_relations([rule], parents)})
        except ServiceError as fault:
            return _does_not_run(fault, recipe.key, rule)
    return error


def _does_not_run(fault: ServiceError, key: str, rule: Rule) -> PlatformError:
    if isinstance(fault, RefusedError | TransientServiceError):
        return fault
    said = str(fault.__cause__ or fault).partition("\n")[0]
    return AuditError(
        f"{key} has the rule {rule.name}, but it does not run on the rows: {said}",
        allowed=f"Of a row that breaks it, it says: {sentence(rule)}",
        remedy="Mend the rule in its defs.yaml, in SQL for instance with TRY_CAST or CASE; the table still stands at "
        "its last version",
    )


def within(of: StagedFiles, partition: str | None, values: Collection[str]) -> StagedFiles:
    """The files of these partitions; all where the table has none."""
    if partition is None:
        return of
    kept = tuple(file for file in of.files if file.partition[partition] in values)
    return StagedFiles(of.location, of.schema, of.partition_by, kept)


def broken_by(reason: str) -> list[str]:
    """The names of the rules that a quarantined row broke.

    >>> broken_by("speed: it is too high\\norigin_not_null: origin is NULL")
    ['speed', 'origin_not_null']
    """
    return [line.partition(":")[0] for line in reason.splitlines()]


def _of(rules: Sequence[Rule], kind: str) -> list[Rule]:
    return [rule for rule in rules if rule.kind == kind]


def _of_counts(rule: Rule, rows: StagedFiles, partition: str | None, partitions: Collection[str]) -> Outcome:
    counts = dict.fromkeys(partitions, 0) if partition else {"": 0}
    for file in rows.files:
        counts[file.partition[partition] if partition else ""] += file.rows
    low, high = (float(bound) if bound is not None else None for bound in (rule.low, rule.high))
    broken = [
        (name, count)
        for name, count in counts.items()
        if (low is not None and count < low) or (high is not None and count > high)
    ]
    shown = tuple(f"{name}: {count:,} rows" if name else f"{count:,} rows" for name, count in broken[:_EXAMPLES])
    return Outcome(rule, len(broken), sentence(rule), shown)


def _of_reasons(rule: Rule, kept: Sequence[Mapping[str, Any]]) -> Outcome:
    """kept: of the rows in a quarantine each reason, how many have it and one of them."""
    broken = [it for it in kept if rule.name in broken_by(it["reason"])]
    examples = tuple(it["example"] for it in broken[:_EXAMPLES])
    return Outcome(rule, sum(it["rows"] for it in broken), sentence(rule), examples)


def _moment(value: object, rule: Rule, key: str) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise AuditError(
        f"{key} has a {rule.column} of {value!r}, but the rule {rule.name} measures an age by it",
        allowed="An age is measured by dates and timestamps",
    )


def _shown(outcome: Outcome) -> str:
    return f" ({'; '.join(outcome.examples)})" if outcome.examples else ""


def _text(value: Any) -> str:
    return "NULL" if value is None else value.isoformat() if isinstance(value, date) else str(value)
