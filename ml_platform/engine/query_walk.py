"""A walk over one query, its named and its nested queries, from its columns to those of the tables that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_platform.engine import choices
from ml_platform.engine.pivots import pivoted
from ml_platform.engine.scope import NOWHERE, UNNAMED, Origins, Relation, Scope, UnknownNameError
from ml_platform.engine.sql import line_of
from ml_platform.errors import DeclarationError, nearest

if TYPE_CHECKING:
    from sqlglot import exp

_CLAUSES = ("where", "group", "having", "qualify", "limit", "offset")
_CLAUSES_OVER_RESULT = ("order", "distinct")


@dataclass
class _Cte:
    """A named query, looked at when it is first read: engines do not bind one that nobody reads.

    columns: the names it gives. reach, outer: what it can read itself. found: what it turned out to be.
    """

    body: exp.Expr
    columns: list[str]
    reach: Mapping[str, _Cte | Relation]
    outer: Scope | None
    recursive: bool
    found: Relation | None = None


_Ctes = Mapping[str, _Cte | Relation]


class QueryWalk:
    """A walk over a query in DuckDB's dialect.

    known: asset key → what is known of its table; others are unknown. at: the file, for errors.
    """

    def __init__(self, known: Mapping[str, Relation], at: str) -> None:
        from sqlglot import exp

        self._exp, self._known, self._at = exp, known, at
        self._twice: dict[int, tuple[str, str, exp.Expr]] = {}

    def query(self, node: exp.Expr, ctes: _Ctes, outer: Scope | None) -> Relation:
        """The columns of a query. ctes: the named queries in its reach; outer: the scope that it stands in.

        Raises DeclarationError for a name that cannot be meant.
        """
        exp = self._exp
        ctes = self._with(node, ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            left, right = self.query(node.this, ctes, outer), self.query(node.expression, ctes, outer)
            return left.united(right, by_name=bool(node.args.get("by_name")))
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query) and not node.args.get("pivots"):
            return self.query(node.this, ctes, outer)
        if isinstance(node, exp.Pivot) or (isinstance(node, exp.Subquery) and isinstance(node.this, exp.Pivot)):
            pivot = node.this if isinstance(node, exp.Subquery) else node
            scope = Scope(outer)
            self._read(pivot.this, ctes, scope)
            return self._pivoted(pivot, scope.relations[0], ctes, scope)
        return self._values(node, ctes, Scope(outer)) if isinstance(node, exp.Values) else Relation()

    def require_own_names(self, node: exp.Expr) -> None:
        """Returns where no two columns of a query that was walked have one name, by which engines rename the second.

        Raises DeclarationError. Of queries inside it that does no harm that nobody sees.
        """
        if isinstance(node, self._exp.SetOperation):
            self.require_own_names(node.this)
            if node.args.get("by_name"):
                self.require_own_names(node.expression)
        elif isinstance(node, self._exp.Subquery):
            self.require_own_names(node.this)
        elif (found := self._twice.get(id(node))) is not None:
            first, second, each = found
            spelled = f"two columns {second}" if first == second else f"the columns {first} and {second}"
            raise DeclarationError(
                f"{self._at}:{line_of(each)}: it gives {spelled}, but every column of a table has a name of its own, "
                "whatever its case",
                remedy="Give one of them another name with AS, or leave it out of the * with EXCLUDE",
            )

    def _note_twice(self, node: exp.Select, named: list[tuple[str, exp.Expr]]) -> None:
        seen: dict[str, str] = {}
        for name, each in named:
            if name.lower() in seen:
                self._twice.setdefault(id(node), (seen[name.lower()], name, each))
            seen.setdefault(name.lower(), name)

    def _with(self, node: exp.Expr, ctes: _Ctes, outer: Scope | None) -> _Ctes:
        clause = node.args.get("with_")
        if clause is None:
            return ctes
        reach = dict(ctes)
        for cte in clause.expressions:
            recursive = bool(clause.args.get("recursive")) and isinstance(cte.this, self._exp.SetOperation)
            reach[cte.alias.lower()] = _Cte(cte.this, cte.alias_column_names, dict(reach), outer, recursive)
        return reach

    def _named(self, name: str, ctes: _Ctes) -> Relation:
        cte = ctes.get(name.lower())
        if not isinstance(cte, _Cte):
            return cte or Relation()
        if cte.found is None:
            reach = cte.reach
            if cte.recursive:
                first = self.query(cte.body.this, self._with(cte.body, reach, cte.outer), cte.outer)
                reach = {**reach, name.lower(): first.called(name, cte.columns)}
            cte.found = self.query(cte.body, reach, cte.outer).called(name, cte.columns)
        return cte.found

    def _select(self, node: exp.Select, ctes: _Ctes, outer: Scope | None) -> Relation:
        scope = Scope(outer)
        if (source := node.args.get("from_")) is not None:
            self._read(source.this, ctes, scope)
        self._joins(node, ctes, scope)
        scope.aliases = {each.alias.lower(): NOWHERE for each in node.expressions if each.alias}
        windows = {window.name.lower(): self._origins(window, ctes, scope) for window in node.args.get("windows") or ()}
        given = [(it, each) for each in node.expressions for it in self._projected(each, ctes, scope, windows)]
        found = [column for column, _ in given]
        self._note_twice(node, [(name, each) for (name, _), each in given if name is not None])
        self._clauses(node, _CLAUSES, ctes, scope)
        result = {name.lower(): origins for name, origins in found if name is not None}
        self._clauses(node, _CLAUSES_OVER_RESULT, ctes, replace(scope, aliases={**scope.aliases, **result}))
        columns = ((name, origins) for name, origins in found if name is not None)
        unnamed = [origins for name, origins in found if name is None]
        made = Relation.of(columns, has_more=bool(unnamed), rest=self._rest(node, scope))
        return replace(made, others=NOWHERE.union(*unnamed))

    def _clauses(self, node: exp.Select, names: tuple[str, ...], ctes: _Ctes, scope: Scope) -> None:
        for name in names:
            if (clause := node.args.get(name)) is not None:
                self._origins(clause, ctes, scope)

    def _rest(self, node: exp.Select, scope: Scope) -> str | None:
        """The table whose undeclared columns the query hands on: it selects everything of that one table."""
        alone = len(node.expressions) == len(scope.relations) == 1 and node.expressions[0] == self._exp.Star()
        return scope.relations[0].rest if alone else None

    def _joins(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> None:
        for lateral in node.args.get("laterals") or ():
            self._read(lateral, ctes, scope)
        for join in node.args.get("joins") or ():
            self._join(join, ctes, scope)

    def _join(self, join: exp.Join, ctes: _Ctes, scope: Scope) -> None:
        before = len(scope.relations)
        self._read(join.this, ctes, scope)
        added = scope.relations[before:]
        del scope.relations[before:]
        using = [name.name for name in join.args.get("using") or ()]
        if join.method == "NATURAL":
            scope.is_loose = scope.is_loose or any(one.is_open for one in [*scope.relations, *added])
            using = [name for one in added for name, _ in one.columns.values() if scope.has(name)]
        for name in using:
            for side in (scope, Scope(None, added, is_loose=scope.is_loose)):
                self._find([name], side, join)
        beside = scope.joined(added, using)
        if (condition := join.args.get("on")) is not None:
            # Of tables that only commas are between it sees some, so that several may have a name here.
            self._origins(condition, ctes, replace(beside, tells_apart=False))
        if join.kind not in ("SEMI", "ANTI"):
            scope.relations, scope.merged = beside.relations, beside.merged

    def _read(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> None:
        """What a query reads comes into its reach, with what that is joined with."""
        exp = self._exp
        if node.args.get("pivots"):
            scope.relations.append(self._pivots(node, ctes, scope))
        elif isinstance(node.this, exp.Func):
            scope.relations.append(self._function(node, ctes, scope))
        elif isinstance(node, exp.Table):
            scope.relations.append(self._table(node, ctes))
        elif isinstance(node, exp.Values):
            scope.relations.append(self._values(node, ctes, scope))
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            self._read(node.this, ctes, scope)
            scope.is_loose = scope.is_loose or bool(node.alias)
        elif isinstance(node, exp.Subquery | exp.Lateral):
            inner = node.this if isinstance(node, exp.Lateral) else node
            scope.relations.append(self.query(inner, ctes, scope).called(node.alias, node.alias_column_names))
        else:
            scope.relations.append(self._function(node, ctes, scope))
        self._joins(node, ctes, scope)

    def _values(self, node: exp.Values, ctes: _Ctes, scope: Scope) -> Relation:
        """The columns of a list of values, which has no others."""
        beside = Scope(scope.outer, list(scope.relations), is_loose=True, tells_apart=False)
        rows = [each.expressions if isinstance(each, self._exp.Tuple) else [each] for each in node.expressions]
        columns = [
            NOWHERE.union(*(self._origins(each, ctes, beside) for each in column))
            for column in zip(*rows, strict=False)
        ]
        named = Relation.of(((f"col{at}", origins) for at, origins in enumerate(columns)), has_more=False)
        return named.called(node.alias_or_name, node.alias_column_names)

    def _function(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> Relation:
        """What a function gives: of its columns only those are known that are named."""
        beside = Scope(scope.outer, list(scope.relations), is_loose=True, tells_apart=False)
        origins = self._origins(node, ctes, beside)
        named = Relation.of(((name, origins) for name in node.alias_column_names), has_more=True)
        return replace(named, others=origins).called(node.alias_or_name)

    def _pivots(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> Relation:
        """What the pivots behind a table, a function or a query give, one after the other."""
        pivots = node.args["pivots"]
        inner = node.this if isinstance(node, self._exp.Subquery) else node
        if isinstance(inner, self._exp.Query | self._exp.Pivot):
            found = self.query(inner, ctes, scope)
        elif isinstance(inner, self._exp.Table) and not isinstance(inner.this, self._exp.Func):
            found = self._table(inner, ctes)
        else:
            found = self._function(inner, ctes, scope)
        for pivot in pivots:
            found = self._pivoted(pivot, found, ctes, scope)
        return found.called(pivots[-1].alias or node.alias_or_name, pivots[-1].alias_column_names)

    def _pivoted(self, pivot: exp.Pivot, base: Relation, ctes: _Ctes, scope: Scope) -> Relation:
        over = Scope(scope.outer, [base], is_loose=base.is_open)
        return pivoted(pivot, base, lambda each: self._origins(each, ctes, over))

    def _table(self, node: exp.Table, ctes: _Ctes) -> Relation:
        names = node.alias_column_names
        if not node.db:
            return self._named(node.name, ctes).called(node.alias_or_name, names)
        found = self._known.get(f"{node.db}/{node.name}", Relation(rest=f"{node.db}/{node.name}"))
        found = replace(found, rest=None) if names else found
        return found.called(node.alias_or_name, names, "" if node.alias else node.db)

    def _projected(
        self, node: exp.Expr, ctes: _Ctes, scope: Scope, windows: Mapping[str, Origins]
    ) -> Iterator[tuple[str | None, Origins]]:
        """The columns that one entry of a SELECT gives; one without a name stands for any that are not known."""
        if (star := choices.star_of(node)) is not None:
            yield from choices.chosen(node, self._star(star, ctes, scope))
            return
        named = [windows.get(window.alias.lower(), NOWHERE) for window in node.find_all(self._exp.Window)]
        origins = self._origins(node, ctes, scope).union(*named)
        if (each := choices.columns_in(node)) is not None:
            # One for each column that is chosen, which has its name.
            for name, own in self._choice(each, ctes, scope):
                yield name and choices.named(node, name), own | origins
            return
        if node.alias:
            scope.aliases[node.alias.lower()] = origins
        yield node.alias or self._own_name(node, scope) or f"{UNNAMED}{id(node)}", origins
        if self._gives_many(node):
            yield None, origins

    def _choice(self, node: exp.Columns, ctes: _Ctes, scope: Scope) -> Iterator[tuple[str | None, Origins]]:
        """The columns that a COLUMNS stands for."""
        for name in choices.texts(node):
            self._find([name], replace(scope, aliases={}, tells_apart=False), node)
        return choices.chosen(node, self._star(choices.star_of(node.this) or self._exp.Star(), ctes, scope))

    def _own_name(self, node: exp.Expr, scope: Scope) -> str:
        """The name of a column that is not renamed, or of the last of its fields; empty for any other expression."""
        exp = self._exp
        if isinstance(node, exp.PositionalColumn):
            return self._positional(node, scope)[0]
        while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            if isinstance(node.this, exp.Column):
                return str(node.name)
            node = node.this
        return scope.spelled(node.name) if isinstance(node, exp.Column) else ""

    def _gives_many(self, node: exp.Expr) -> bool:
        """Whether an entry may stand for several columns: a structure taken apart, or all of one."""
        exp = self._exp
        stars = (star for star in node.find_all(exp.Star) if not isinstance(star.parent, exp.Count | exp.Column))
        return node.find(exp.Explode, exp.Unnest) is not None or any(stars)

    def _star(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> Iterator[tuple[str | None, Origins]]:
        star = node if type(node) is self._exp.Star else node.this
        only = node.args["table"].name if star is not node else None
        excluded = star.args.get("except_") or ()
        left_out = {choices.spelled(each) for each in excluded}
        replaced = {
            each.alias.lower(): self._origins(each.this, ctes, scope) for each in star.args.get("replace") or ()
        }
        renamed = {choices.spelled(each.this): each.alias for each in star.args.get("rename") or ()}
        for table, name, origins in scope.star(only, left_out):
            lower = name.lower()
            if ("", lower) not in left_out:
                yield renamed.get((table, lower), renamed.get(("", lower), name)), replaced.get(lower, origins)
        meant = [one for one in scope.relations if only is None or one.name == only.lower()]
        if only is not None and not meant:  # a table of a query around this one, or a column's fields
            rest = self._find([only], scope, node)
        else:
            rest = NOWHERE.union(*(one.further for one in meant))
        for each in excluded:
            self._find([each.name], Scope(None, meant, is_loose=scope.is_loose or not meant, tells_apart=False), node)
        if scope.is_loose or not meant or any(one.is_open for one in meant):
            yield None, rest

    def _origins(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> Origins:
        """Where what an expression reads comes from, with all that its nested queries give."""
        found: list[Origins] = []
        for each in self._parts(node):
            if isinstance(each, self._exp.Query):
                found.append(self.query(each, ctes, scope).everything())
            elif isinstance(each, self._exp.Columns):
                found += (origins for _, origins in self._choice(each, ctes, scope)) if each.args.get("unpack") else ()
            elif isinstance(each, self._exp.PositionalColumn):
                found.append(self._positional(each, scope)[1])
            else:
                found.append(self._find([part.name for part in each.parts], scope, each))
        return NOWHERE.union(*found)

    def _positional(self, node: exp.PositionalColumn, scope: Scope) -> tuple[str, Origins]:
        """The column of a place, counted from 1, among all that are read; one of them where some are not known."""
        every = list(scope.star())
        known = not scope.is_loose and not any(one.is_open for one in scope.relations)
        at = int(node.name) - 1
        if known and 0 <= at < len(every):
            _, name, origins = every[at]
            return name, origins
        return "", NOWHERE.union(*(one.everything() for one in scope.relations))

    def _parts(self, node: exp.Expr) -> Iterator[exp.Query | exp.Column | exp.Columns | exp.PositionalColumn]:
        """The columns that an expression reads, and the queries in it, into which this does not look."""
        exp = self._exp
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

    def _find(self, parts: list[str], scope: Scope, node: exp.Expr) -> Origins:
        place = f"{self._at}:{line_of(node)}"
        if len(parts) == 1 and isinstance(node.parent, self._exp.Expr) and scope.is_ambiguous(parts[0]):
            raise DeclarationError(
                f"{place}: it reads {parts[0]}, but several of its tables have such a column",
                remedy="Name the table that is meant before it",
            )
        try:
            return scope.find(parts)
        except UnknownNameError as unknown:
            fault = DeclarationError(
                f"{place}: it reads {unknown.name}, but {unknown.why}", allowed=nearest(unknown.wrong, unknown.known)
            )
        raise fault
