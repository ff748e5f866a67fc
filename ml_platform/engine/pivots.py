"""What a PIVOT and an UNPIVOT give: rows turned into columns and back, in either of DuckDB's spellings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ml_platform.engine.scope import NOWHERE, Origins, Relation

if TYPE_CHECKING:
    from sqlglot import exp

Find = Callable[["exp.Expr"], Origins]


def pivoted(node: exp.Pivot, base: Relation, find: Find) -> Relation:
    """The columns that a pivot makes of those of a relation.

    find: where what an expression over the relation reads comes from; raises DeclarationError for a name that is wrong.
    """
    return _unpivoted(node, base, find) if node.args.get("unpivot") else _pivoted(node, base, find)


def _pivoted(node: exp.Pivot, base: Relation, find: Find) -> Relation:
    """A column for each value that the engine finds or is told, whose names are its own affair."""
    from sqlglot import exp

    aggregates = node.args.get("using") or node.expressions
    turned = node.expressions if node.args.get("using") else node.args.get("fields") or ()
    # What follows IN are values, whatever they look like.
    read = [*aggregates, *(each.this if isinstance(each, exp.In) else each for each in turned)]
    made = NOWHERE.union(*map(find, read))
    group = node.args.get("group")
    if group is not None:
        kept = [(each.name, find(each)) for each in group.expressions if isinstance(each, exp.Column)]
    else:
        kept = list(_without(base, (column.name for each in read for column in each.find_all(exp.Column))))
    named = [(each.name, made) for each in node.args.get("columns") or ()]
    others = made if group is not None else made | base.further
    return replace(Relation.of([*kept, *named], has_more=True), others=others)


def _unpivoted(node: exp.Pivot, base: Relation, find: Find) -> Relation:
    """The columns that stay, one of the names of those that do not, and theirs, one under the other."""
    from sqlglot import exp

    name, values, rows = _unpivoted_as(node)
    if any(not isinstance(each, exp.Column) for row in rows for each in row):
        # Which columns a pattern means is not looked into: each may stay, or be one of the values.
        every = base.everything()
        return replace(Relation.of([(name, NOWHERE), *((it, every) for it in values)], has_more=True), others=every)
    kept = _without(base, (each.name for row in rows for each in row))
    made = [(it, NOWHERE.union(*(find(row[at]) for row in rows if at < len(row)))) for at, it in enumerate(values)]
    return replace(Relation.of([*kept, (name, NOWHERE), *made], has_more=base.has_more), others=base.further)


def _unpivoted_as(node: exp.Pivot) -> tuple[str, list[str], list[Sequence[exp.Expr]]]:
    """The column of names, those of values, and the columns that each name stands for."""
    from sqlglot import exp

    fields, into = node.args.get("fields"), node.args.get("into")
    if fields:
        (first, *_), name = node.expressions, fields[0].this.name
        values = [each.name for each in (first.expressions if isinstance(first, exp.Tuple) else [first])]
        return name, values, [_row(each) for each in fields[0].expressions]
    name = into.this.name if into else "name"
    values = [each.name for each in into.expressions] if into else ["value"]
    return name, values, [_row(each) for each in node.expressions]


def _row(each: exp.Expr) -> Sequence[exp.Expr]:
    from sqlglot import exp

    inner = each.this if isinstance(each, exp.PivotAlias | exp.Alias | exp.Paren) else each
    return inner.expressions if isinstance(inner, exp.Tuple) else [inner]


def _without(base: Relation, names: Iterator[str]) -> Iterator[tuple[str, Origins]]:
    gone = {name.lower() for name in names}
    return (column for key, column in base.columns.items() if key not in gone)
