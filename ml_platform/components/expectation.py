"""An expectation as it is declared with a table: one rule, of one kind."""

from __future__ import annotations

from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ml_platform.records.expectation import Kind, Rule, Severity

Value = StrictStr | StrictInt | StrictFloat | StrictBool
Bound = StrictInt | StrictFloat | StrictStr
KINDS: tuple[Kind, ...] = (
    "not_null",
    "unique",
    "between",
    "one_of",
    "matches",
    "references",
    "sql",
    "row_count",
    "freshness",
)
# As they are written: dagster would take a text that looks like a number, or a pattern that looks like a list, for one.
Written = Annotated[list[dict[str, Any]], dg.Resolver(lambda _, value: value, model_field_type=list[dict[str, Any]])]
DESCRIPTION = "What its rows have to keep: rules of one kind each, with a severity, which is warn, quarantine or fail."
_NAME = r"^[A-Za-z0-9_]+$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Between(_Strict):
    """A range, its ends included."""

    column: StrictStr = Field(description="The column whose values lie in it.")
    min: Bound | None = Field(default=None, description="The least; none without it. A date is a text.")
    max: Bound | None = Field(default=None, description="The greatest; none without it. A date is a text.")


class OneOf(_Strict):
    """A set of values."""

    column: StrictStr = Field(description="The column whose values are in it.")
    values: tuple[Value, ...] = Field(min_length=1, description="The values, all of one type.")


class Matches(_Strict):
    """A pattern of a whole text."""

    column: StrictStr = Field(description="The column whose values match it from end to end.")
    pattern: StrictStr = Field(description="A regular expression in RE2's syntax.")


class References(_Strict):
    """A foreign key."""

    column: StrictStr = Field(description="The column whose values stand in the other table.")
    to: StrictStr = Field(description="Asset key and column of the other, for instance silver/planes.tailnum.")


class RowCount(_Strict):
    """How many rows each partition has."""

    min: StrictInt | None = Field(default=None, ge=0, description="The least; none without it.")
    max: StrictInt | None = Field(default=None, ge=0, description="The greatest; none without it.")


class Freshness(_Strict):
    """How old the newest row of the whole table may be."""

    column: StrictStr = Field(description="The date or timestamp that says when a row is about.")
    max_hours: StrictInt | StrictFloat = Field(gt=0, description="Its greatest age, by the platform's clock.")


class Expectation(_Strict):
    """One rule, of exactly one kind."""

    not_null: StrictStr | None = Field(default=None, description="The column that is never NULL.")
    unique: StrictStr | None = Field(default=None, description="The column of which no two rows share a value.")
    between: Between | None = Field(default=None, description="The range that a column's values lie in.")
    one_of: OneOf | None = Field(default=None, description="The set that a column's values are in.")
    matches: Matches | None = Field(default=None, description="The pattern that a column's values match.")
    references: References | None = Field(default=None, description="The table that a column's values stand in.")
    sql: StrictStr | None = Field(default=None, description="A predicate over the row's own columns.")
    row_count: RowCount | None = Field(default=None, description="How many rows each partition has.")
    freshness: Freshness | None = Field(default=None, description="How old the newest row may be.")
    name: StrictStr | None = Field(default=None, pattern=_NAME, description="Its name among the table's checks.")
    severity: Severity = Field(
        default="fail",
        description="warn: the check says so; quarantine: the rows are set apart; fail: nothing is committed.",
    )

    @property
    def kinds(self) -> list[Kind]:
        """The kinds that are set, of which there is to be one."""
        return [kind for kind in KINDS if getattr(self, kind) is not None]

    def rule(self, name: str) -> Rule:
        """The rule as it travels."""
        kind = self.kinds[0]
        said: Any = getattr(self, kind)
        if kind in ("not_null", "unique"):
            return Rule(name, kind, self.severity, column=said)
        if kind == "sql":
            return Rule(name, kind, self.severity, predicate=said)
        fields = said.model_dump()
        if kind == "references":
            fields["parent"], _, fields["parent_column"] = fields.pop("to").rpartition(".")
        spelled = {"min": "low", "max": "high"}
        return Rule(name, kind, self.severity, **{spelled.get(field, field): value for field, value in fields.items()})
