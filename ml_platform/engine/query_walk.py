"""A walk over one query, its named and its nested queries, from its columns to those of the tables that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_platform.engine.pivots import pivoted
from ml_platform.engine.query_expressions import Expressions
from ml_platform.engine.scope import NOWHERE, Relation, Scope
from ml_platform.engine.sql import line_of
from ml_platform.errors import DeclarationError

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
        expressions = self._over(ctes, scope)
        windows = {window.name.lower(): expressions.origins(window) for window in node.args.get("windows") or ()}
        given = [(it, each) for each in node.expressions for it in expressions.projected(each, windows)]
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
                self._over(ctes, scope).origins(clause)

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
                self._over(ctes, side).find([name], join)
        beside = scope.joined(added, using)
        if (condition := join.args.get("on")) is not None:
            # Of tables that only commas are between it sees some, so that several may have a name here.
            self._over(ctes, replace(beside, tells_apart=False)).origins(condition)
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
            NOWHERE.union(*(self._over(ctes, beside).origins(each) for each in column))
            for column in zip(*rows, strict=False)
        ]
        named = Relation.of(((f"col{at}", origins) for at, origins in enumerate(columns)), has_more=False)
        return named.called(node.alias_or_name, node.alias_column_names)

    def _function(self, node: exp.Expr, ctes: _Ctes, scope: Scope) -> Relation:
        """What a function gives: of its columns only those are known that are named."""
        beside = Scope(scope.outer, list(scope.relations), is_loose=True, tells_apart=False)
        origins = self._over(ctes, beside).origins(node)
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
        return pivoted(pivot, base, lambda each: self._over(ctes, over).origins(each))

    def _over(self, ctes: _Ctes, scope: Scope) -> Expressions:
        return Expressions(scope, lambda query, outer: self.query(query, ctes, outer), self._at)

    def _table(self, node: exp.Table, ctes: _Ctes) -> Relation:
        names = node.alias_column_names
        if not node.db:
            return self._named(node.name, ctes).called(node.alias_or_name, names)
        found = self._known.get(f"{node.db}/{node.name}", Relation(rest=f"{node.db}/{node.name}"))
        found = replace(found, rest=None) if names else found
        return found.called(node.alias_or_name, names, "" if node.alias else node.db)
