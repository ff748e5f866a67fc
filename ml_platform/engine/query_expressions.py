"""The expressions of one SELECT: which columns its entries give, and where what they read comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_platform.engine import choices
from ml_platform.engine.scope import NOWHERE, UNNAMED, Origins, Relation, Scope, UnknownNameError
from ml_platform.engine.sql import line_of
from ml_platform.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class Expressions:
    """What expressions over a scope read.

    nested: what a query that stands in the scope gives. at: the file, for errors.
    """

    scope: Scope
    nested: Callable[[exp.Expr, Scope], Relation]
    at: str

    def projected(self, node: exp.Expr, windows: Mapping[str, Origins]) -> Iterator[choices.Column]:
        """The columns that one entry of a SELECT gives; one without a name stands for any that are not known.

        windows: where what a named window goes by comes from. Raises DeclarationError for a name that cannot be meant.
        """
        from sqlglot import exp

        if (star := choices.star_of(node)) is not None:
            yield from choices.chosen(node, self._star(star))
            return
        named = [windows.get(window.alias.lower(), NOWHERE) for window in node.find_all(exp.Window)]
        origins = self.origins(node).union(*named)
        if (each := choices.columns_in(node)) is not None:
            # One for each column that is chosen, which has its name.
            for name, own in self._choice(each):
                yield name and choices.named(node, name), own | origins
            return
        if node.alias:
            self.scope.aliases[node.alias.lower()] = origins
        yield node.alias or self._own_name(node) or f"{UNNAMED}{id(node)}", origins
        if choices.gives_many(node):
            yield None, origins

    def origins(self, node: exp.Expr) -> Origins:
        """Where what an expression reads comes from, with all that its nested queries give."""
        from sqlglot import exp

        found: list[Origins] = []
        for each in _parts(node):
            if isinstance(each, exp.Query):
                found.append(self.nested(each, self.scope).everything())
            elif isinstance(each, exp.Columns):
                found += (origins for _, origins in self._choice(each)) if each.args.get("unpack") else ()
            elif isinstance(each, exp.PositionalColumn):
                found.append(self._positional(each)[1])
            else:
                found.append(self.find([part.name for part in each.parts], each))
        return NOWHERE.union(*found)

    def find(self, parts: list[str], node: exp.Expr) -> Origins:
        """Where the column of a name comes from. node: what reads it, for errors."""
        from sqlglot import exp

        place = f"{self.at}:{line_of(node)}"
        if len(parts) == 1 and isinstance(node.parent, exp.Expr) and self.scope.is_ambiguous(parts[0]):
            raise DeclarationError(
                f"{place}: it reads {parts[0]}, but several of its tables have such a column",
                remedy="Name the table that is meant before it",
            )
        try:
            return self.scope.find(parts)
        except UnknownNameError as unknown:
            fault = DeclarationError(
                f"{place}: it reads {unknown.name}, but {unknown.why}", allowed=nearest(unknown.wrong, unknown.known)
            )
        raise fault

    def _choice(self, node: exp.Columns) -> Iterator[choices.Column]:
        """The columns that a COLUMNS stands for."""
        from sqlglot import exp

        columns = replace(self, scope=replace(self.scope, aliases={}, tells_apart=False))
        for name in choices.texts(node):
            columns.find([name], node)
        return choices.chosen(node, self._star(choices.star_of(node.this) or exp.Star()))

    def _own_name(self, node: exp.Expr) -> str:
        """The name of a column that is not renamed, or of the last of its fields; empty for any other expression."""
        from sqlglot import exp

        if isinstance(node, exp.PositionalColumn):
            return self._positional(node)[0]
        while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            if isinstance(node.this, exp.Column):
                return str(node.name)
            node = node.this
        return self.scope.spelled(node.name) if isinstance(node, exp.Column) else ""

    def _star(self, node: exp.Expr) -> Iterator[choices.Column]:
        from sqlglot import exp

        scope, star = self.scope, node if type(node) is exp.Star else node.this
        only = node.args["table"].name if star is not node else None
        excluded = star.args.get("except_") or ()
        left_out = {choices.spelled(each) for each in excluded}
        replaced = {each.alias.lower(): self.origins(each.this) for each in star.args.get("replace") or ()}
        renamed = {choices.spelled(each.this): each.alias for each in star.args.get("rename") or ()}
        for table, name, origins in scope.star(only, left_out):
            lower = name.lower()
            if ("", lower) not in left_out:
                yield renamed.get((table, lower), renamed.get(("", lower), name)), replaced.get(lower, origins)
        meant = [one for one in scope.relations if only is None or one.name == only.lower()]
        if only is not None and not meant:  # a table of a query around this one, or a column's fields
            rest = self.find([only], node)
        else:
            rest = NOWHERE.union(*(one.further for one in meant))
        among = Scope(None, meant, is_loose=scope.is_loose or not meant, tells_apart=False)
        for each in excluded:
            replace(self, scope=among).find([each.name], node)
        if scope.is_loose or not meant or any(one.is_open for one in meant):
            yield None, rest

    def _positional(self, node: exp.PositionalColumn) -> tuple[str, Origins]:
        """The column of a place, counted from 1, among all that are read; one of them where some are not known."""
        every = list(self.scope.star())
        known = not self.scope.is_loose and not any(one.is_open for one in self.scope.relations)
        at = int(node.name) - 1
        if known and 0 <= at < len(every):
            _, name, origins = every[at]
            return name, origins
        return "", NOWHERE.union(*(one.everything() for one in self.scope.relations))


def _parts(node: exp.Expr) -> Iterator[exp.Query | exp.Column | exp.Columns | exp.PositionalColumn]:
    """The columns that an expression reads, and the queries in it, into which this does not look."""
    from sqlglot import exp

    none: frozenset[str] = frozenset()
    waiting = [(node, none)]
    while waiting:
        each, own = waiting.pop()
        if isinstance(each, exp.Query | exp.Columns | exp.PositionalColumn):
            yield each
        elif isinstance(each, exp.Column):
            if not isinstance(each.this, exp.Star) and each.parts[0].name not in own:
                yield each
        elif not isinstance(each, exp.DataType | exp.Star):
            if isinstance(each, exp.Comprehension):
                names = (each.args.get(arg) for arg in ("expression", "position"))
                own = own | {name.name for name in names if name is not None}
            waiting += [(child, own) for child in each.iter_expressions()]
