"""The rules of a declaration: each with a name of its own, and checked as far as it can be before there are rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from pydantic import ValidationError

from ml_platform.components.asset import asset_key, key_of, place
from ml_platform.components.columns import columns_of, in_query, sql_files
from ml_platform.components.domain import domain_of
from ml_platform.components.expectation import KINDS, Expectation
from ml_platform.components.lines import line_of
from ml_platform.components.making import is_partitioned, require_declared
from ml_platform.components.source_positions import documents
from ml_platform.engine.expectations import Expectations, sentence
from ml_platform.engine.plan import Shape
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.sql import read
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.expectation import Rule, Severity, Value

# Of a query by their names; None where these are not known before it is made.
Columns = tuple[str, ...] | None
_SAID: Mapping[Severity, str] = {
    "warn": "Warns where {}.",
    "quarantine": "A row goes to the quarantine where {}.",
    "fail": "The run fails, and the table stays as it was, where {}.",
}


def expecting(context: dg.ComponentLoadContext, recipe: Recipe, written: Sequence[Mapping[str, Any]]) -> Recipe:
    """The recipe with the rules that are written, measured by the domain's clock.

    Raises DeclarationError, by file and line, for an unknown kind or field, a column or table that is not there, and
    for bounds, sets, patterns and predicates that cannot be.
    """
    columns = _columns_of(context, recipe) if written else None
    places = _places(context) if written else []
    done: dict[str, Rule] = {}
    for position, one in enumerate(written):
        at = places[position]
        found = _parsed(one, at)
        name = found.name or _free(_default_name(found), done)
        if name in done:
            raise DeclarationError(f"{at}: name is {name!r}, but another rule has it", remedy="Give each its own")
        done[name] = found.rule(name)
        _Check(context, at, done[name], recipe.shape, columns).require_sense()
    return replace(recipe, expects=Expectations(tuple(done.values()), domain_of(context.path).clock))


def checks_of(expects: Expectations) -> dict[str, str]:
    """The checks by which the rules show: name → what it does where, for people."""
    return {rule.name: _SAID[rule.severity].format(sentence(rule)) for rule in expects.rules}


def require_delete_when(
    context: dg.ComponentLoadContext, recipe: Recipe, predicate: str | None, declared: Collection[str]
) -> None:
    """Returns where a delete marker, if there is one, is said of columns that the query or the function gives.

    declared: those that a function is declared to give. Raises DeclarationError, by file and line.
    """
    if predicate is None:
        return
    columns: Columns = tuple(declared) or None
    if (query := in_query(context, recipe.key)) is not None:
        found = query.columns({key: columns_of(context, key) for key in query.reads})
        columns = tuple(found.origins) if found.complete else None
    at = f"{line_of(context, 'delete_when')}: delete_when"
    sql_files(context).require_predicate(predicate, at, columns)


def parents(context: dg.ComponentLoadContext, recipe: Recipe, *, partitioned: bool) -> list[str | dg.AssetDep]:
    """The tables that rules look values up in as dependencies, beside those of the recipe; each is looked up whole."""
    return [
        dg.AssetDep(asset_key(key), partition_mapping=dg.AllPartitionMapping())
        if partitioned and is_partitioned(context, key)
        else key
        for key in recipe.expects.parents
        if key not in recipe.inputs
    ]


@dataclass(frozen=True)
class _Check:
    """One rule, where it is written, and the columns of the table that it is about, where they are known."""

    context: dg.ComponentLoadContext
    at: str
    rule: Rule
    shape: Shape
    columns: Columns

    def require_sense(self) -> None:
        self._require_column()
        self._require_quarantine()
        if self.rule.kind in ("between", "row_count"):
            self._require_bounds()
        elif self.rule.kind == "one_of":
            self._require_one_type(self.rule.values, "values")
        elif self.rule.kind == "matches":
            from ml_platform.engine.predicate import require_pattern

            require_pattern(self.rule.pattern, self.at)
        elif self.rule.kind == "sql":
            sql_files(self.context).require_predicate(self.rule.predicate, f"{self.at}: sql", self.columns)
        elif self.rule.kind == "references":
            self._require_parent()

    def _require_column(self) -> None:
        if self.rule.column and self.columns is not None and self.rule.column not in self.columns:
            raise DeclarationError(
                f"{self.at}: column is {self.rule.column!r}, but the table has no such column",
                allowed=nearest(self.rule.column, self.columns),
            )

    def _require_quarantine(self) -> None:
        if self.rule.severity != "quarantine":
            return
        if not self.rule.of_rows:
            raise DeclarationError(
                f"{self.at}: severity is 'quarantine', but {self.rule.kind} is about the table, and no row breaks it",
                allowed="It can be warn or fail",
            )
        if self.rule.kind == "unique" and self.shape.write == "append":
            raise DeclarationError(
                f"{self.at}: severity is 'quarantine', but a row that was appended stays, also where another comes "
                f"with its {self.rule.column}",
                allowed="It can be warn or fail, which look at all rows that stand",
            )
        if self.rule.column and self.rule.column == self.shape.partition:
            raise DeclarationError(
                f"{self.at}: severity is 'quarantine', but {self.rule.column} is the partition, by which the "
                "quarantine is divided as well",
                allowed="It can be warn or fail",
            )

    def _require_bounds(self) -> None:
        low, high = self.rule.low, self.rule.high
        bounds = [bound for bound in (low, high) if bound is not None]
        if not bounds:
            raise DeclarationError(f"{self.at}: {self.rule.kind} has neither min nor max, but it needs one of them")
        self._require_one_type(bounds, "min and max")
        if len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator] # they are of one type
            raise DeclarationError(f"{self.at}: min is {low!r}, but max is {high!r}, which is less")

    def _require_one_type(self, values: Sequence[Value], name: str) -> None:
        kinds = {"number" if isinstance(v, float) or type(v) is int else type(v).__name__ for v in values}
        if len(kinds) > 1:
            raise DeclarationError(
                f"{self.at}: {name} are {', '.join(map(repr, values))}, but they are of several types",
                allowed="They are all texts, or all numbers, or all true and false",
            )

    def _require_parent(self) -> None:
        parent, column = self.rule.parent, self.rule.parent_column
        if not re.fullmatch(r"\w+/\w+", parent):
            raise DeclarationError(
                f"{self.at}: to is {f'{parent}.{column}'.strip('.')!r}, but that is no column of a table",
                allowed="It is, for instance, silver/planes.tailnum",
            )
        if parent == key_of(self.context):
            raise DeclarationError(f"{self.at}: to is {parent}.{column}, but a table is not made from itself")
        require_declared(self.context, parent, self.at)
        known = _columns_of_asset(self.context, parent)
        if known is not None and column not in known:
            raise DeclarationError(
                f"{self.at}: to is {parent}.{column}, but that table has no such column", allowed=nearest(column, known)
            )


def _parsed(written: Mapping[str, Any], at: str) -> Expectation:
    try:
        found = Expectation.model_validate(dict(written))
    except ValidationError as error:
        raise _fault(error, at) from error
    if len(found.kinds) != 1:
        said = f"of the kinds {', '.join(found.kinds)}" if found.kinds else "of no kind"
        raise DeclarationError(
            f"{at}: a rule is {said}, but it is of exactly one", allowed=f"Kinds are {', '.join(KINDS)}"
        )
    return found


def _fault(error: ValidationError, at: str) -> DeclarationError:
    """The first of the faults; a value that may be of several types has one for each of them."""
    first = error.errors()[0]
    known: Any = Expectation
    path = []
    for part in first["loc"]:
        path.append(str(part))
        field = getattr(known, "model_fields", {}).get(part)
        if field is None:
            break
        inner = [one for one in getattr(field.annotation, "__args__", ()) if hasattr(one, "model_fields")]
        known = inner[0] if inner else None
    name = ".".join(path if first["type"] in ("extra_forbidden", "missing") else path[:2])
    if first["type"] == "extra_forbidden":
        fields = getattr(known, "model_fields", {})
        return DeclarationError(f"{at}: {name} is set, but there is no such field", allowed=nearest(path[-1], fields))
    if first["type"] == "missing":
        return DeclarationError(f"{at}: {name} is missing, but {path[0]} needs it")
    return DeclarationError(f"{at}: {name} is {first['input']!r}, but that cannot be: {first['msg']}")


def _default_name(found: Expectation) -> str:
    rule = found.rule("")
    words = [rule.column, rule.kind] if rule.column else [rule.kind]
    return re.sub(r"\W", "_", "_".join(words), flags=re.ASCII)


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)


def _places(context: dg.ComponentLoadContext) -> list[str]:
    """The file, and the line where each rule is written."""
    (found, *_) = documents((context.path / "defs.yaml").read_text(), "defs.yaml")
    rules = found.source_position_tree.children["attributes"].children["expect"].children.values()
    return [f"{place(context)}:{rule.position.start.line}" for rule in rules]


def _columns_of(context: dg.ComponentLoadContext, recipe: Recipe) -> Columns:
    """The columns of the table; None where only its rows say them."""
    return None if recipe.query is None else sql_files(context).named(recipe.query)


def _columns_of_asset(context: dg.ComponentLoadContext, key: str) -> Collection[str] | None:
    """The columns of another table, as its declaration says them."""
    folder = context.defs_module_path / key
    query = folder / f"{folder.name}.sql"
    if query.exists():
        return sql_files(context).named(read(query))
    component: Any = context.load_component(key)
    columns = getattr(component, "columns", None)
    return None if columns is None else [*columns, "_source_file", "_source_digest", "_source_offset"]
