"""Choices of columns: those of a SELECT that `COLUMNS(…)` and `* LIKE …` stand for, in DuckDB's dialect.

What only the engine can choose, as a function over names does, may be any of the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ml_platform.engine.scope import UNNAMED, Origins

if TYPE_CHECKING:
    from sqlglot import exp

Column = tuple[str | None, Origins]
"""A column's name, None for any that are not known, and where it comes from."""


def star_of(node: exp.Expr) -> exp.Expr | None:
    """The star of an entry that is one, or a choice by a pattern of what one gives; None for any other entry."""
    from sqlglot import exp

    inner = node.this if isinstance(node, exp.Like | exp.ILike | exp.SimilarTo | exp.Glob) else node
    is_star = type(inner) is exp.Star or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star))
    return inner if is_star else None


def columns_in(node: exp.Expr) -> exp.Columns | None:
    """The COLUMNS for each column of which an entry gives one; None where it has none, or only in a query inside."""
    from sqlglot import exp

    found = (each for each in node.walk(prune=lambda it: isinstance(it, exp.Query)) if isinstance(each, exp.Columns))
    return next((each for each in found if not each.args.get("unpack")), None)


def named(node: exp.Expr, name: str) -> str | None:
    """What the column is called that an entry with a COLUMNS gives for the column of a name; None: the engine knows."""
    return (None if "\\" in node.alias else node.alias) if node.alias else name


def gives_many(node: exp.Expr) -> bool:
    """Whether an entry may stand for several columns: a structure taken apart, or all of one."""
    from sqlglot import exp

    stars = (star for star in node.find_all(exp.Star) if not isinstance(star.parent, exp.Count | exp.Column))
    return node.find(exp.Explode, exp.Unnest) is not None or any(stars)


def spelled(node: exp.Expr) -> tuple[str, str]:
    """The table, empty where none is named, and the column that stand behind EXCLUDE or RENAME, lower-case."""
    parts = [part.name.lower() for part in node.parts] if hasattr(node, "parts") else [node.name.lower()]
    return (parts[-2] if len(parts) > 1 else "", parts[-1])


def texts(node: exp.Columns) -> list[str]:
    """The columns that a COLUMNS names one by one."""
    from sqlglot import exp

    listed = node.this.expressions if isinstance(node.this, exp.Array) else ()
    return [each.name for each in listed if each.is_string]


def chosen(node: exp.Expr, every: Iterable[Column]) -> Iterator[Column]:
    """Those of the columns of a star that an entry, or a COLUMNS in it, stands for."""
    is_meant = _meant(node)
    for name, origins in every:
        if is_meant is None:
            yield name, origins
            continue
        meant = None if name is None or name.startswith(UNNAMED) else is_meant(name)
        if meant is not False:
            yield (name if meant else None), origins


def _meant(node: exp.Expr) -> Callable[[str], bool | None] | None:
    """Whether a name is chosen, None where that is not known; None in its place where all are."""
    from sqlglot import exp

    if isinstance(node, exp.Columns):
        if node.this.is_string:
            return lambda name: _matches(name, node.this.name)
        if isinstance(node.this, exp.Array):
            listed = {text.lower() for text in texts(node)}
            return lambda name: name.lower() in listed
        return _meant(node.this)
    star = node.this if isinstance(node, exp.Column) else node
    if isinstance(star, exp.Star):
        ilike = star.args.get("ilike")
        return (lambda name: _like(name, ilike.name, ignore_case=True)) if ilike else None
    return _by_pattern(node)


def _by_pattern(node: exp.Expr) -> Callable[[str], bool | None]:
    """The same of a star with a pattern behind it."""
    from sqlglot import exp

    pattern, is_negated = node.args.get("expression"), bool(node.args.get("negate"))
    if not isinstance(node, exp.Like | exp.ILike) or not isinstance(pattern, exp.Literal):
        return lambda _: None

    def is_meant(name: str) -> bool | None:
        found = _like(name, pattern.name, ignore_case=isinstance(node, exp.ILike))
        return None if found is None else found != is_negated

    return is_meant


def _matches(name: str, pattern: str) -> bool | None:
    """Whether the RE2 pattern is somewhere in the name, as DuckDB has it; None where it is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.match_substring_regex(pa.scalar(name), pattern).as_py())
    except pa.ArrowInvalid:
        return None


def _like(name: str, pattern: str, *, ignore_case: bool) -> bool | None:
    """Whether the name is like the pattern; None where a backslash is in it, which engines do not read alike."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "\\" in pattern:
        return None
    return bool(pc.match_like(pa.scalar(name), pattern, ignore_case=ignore_case).as_py())
