"""A scope: the tables in reach of one SELECT with their columns, and where a name that is read in it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

# Asset key and column.
Origin = tuple[str, str]
Origins = frozenset[Origin]
NOWHERE: Origins = frozenset()

# No name in a query has these in it. The second stands for a column's own name, where another of that name is meant.
UNNAMED, ITS_OWN = "\0", "\1"

# What DuckDB answers for without any table having it.
_ALWAYS = {
    *("rowid", "filename", "file_row_number", "file_index", "user", "current_user", "session_user", "current_role"),
    *("current_catalog", "current_database", "current_schema", "current_date", "current_time", "current_timestamp"),
    *("localtime", "localtimestamp"),
}


class UnknownNameError(Exception):
    """A name that nothing in reach has. why: what there is not; wrong: the part at fault; known: what it could be."""

    def __init__(self, name: str, why: str, wrong: str, known: Iterable[str]) -> None:
        super().__init__(name)
        self.name, self.why, self.wrong, self.known = name, why, wrong, tuple(known)


@dataclass(frozen=True)
class Relation:
    """Columns under one name.

    columns: lower-case name → the name as it is spelled and where it comes from, in order; what has a name that only
    the engine knows has a number for one, as `UNNAMED` gives it.
    has_more: whether there may be further columns. rest: asset key of the table that those are of, where it is known.
    others: where those come from as well; of a column named `ITS_OWN` each comes from the one of its own name.
    name, layer: how the query calls it, lower-case; a table that is not renamed keeps its layer.
    """

    columns: Mapping[str, tuple[str, Origins]] = field(default_factory=dict)
    has_more: bool = True
    rest: str | None = None
    others: Origins = NOWHERE
    name: str = ""
    layer: str = ""

    @classmethod
    def of(cls, columns: Iterable[tuple[str, Origins]], *, has_more: bool, rest: str | None = None) -> Relation:
        """The relation of columns in order; of two with one name, engines rename the second."""
        found: dict[str, tuple[str, Origins]] = {}
        twice = False
        for name, origins in columns:
            twice = twice or name.lower() in found
            found.setdefault(name.lower(), (name, origins))
        return cls(found, has_more or twice, rest)

    @property
    def is_open(self) -> bool:
        """Whether it may have columns of a name that is not known."""
        return self.has_more or any(name.startswith(UNNAMED) for name in self.columns)

    def called(self, name: str, columns: Sequence[str] = (), layer: str = "") -> Relation:
        """The same under another name, its first columns renamed."""
        renamed = self
        if columns:
            own = list(self.columns.values())
            origins = [origins for _, origins in own] + [_told(self.others)] * len(columns)
            named = [*zip(columns, origins, strict=False), *own[len(columns) :]]
            renamed = replace(Relation.of(named, has_more=self.has_more), others=self.others)
        return replace(renamed, name=name.lower(), layer=layer.lower())

    def united(self, other: Relation, *, by_name: bool) -> Relation:
        """The rows of both: its own columns, with the other's by position, or those of either, by name."""
        if by_name:
            further = {name: own for name, own in other.columns.items() if name not in self.columns}
            names = [name for name, _ in {**self.columns, **further}.values()]
            both = [(name, (self.find(name) or NOWHERE) | (other.find(name) or NOWHERE)) for name in names]
            found = Relation.of(both, has_more=self.is_open or other.is_open)
            return replace(found, others=self.further | other.further)
        if self.has_more or other.has_more:  # by position, which nobody knows
            others = [other.everything()] * len(self.columns)
        else:
            others = [origins for _, origins in other.columns.values()] + [NOWHERE] * len(self.columns)
        paired = zip(self.columns.values(), others, strict=False)
        found = Relation.of(((name, own | more) for (name, own), more in paired), has_more=self.has_more)
        return replace(found, others=self.further | (other.everything() if self.has_more else NOWHERE))

    def find(self, name: str) -> Origins | None:
        """Where a column comes from; None where there is no such column."""
        if (found := self.columns.get(name.lower())) is not None:
            return found[1]
        if not self.is_open:
            return None
        return frozenset((key, name if column == ITS_OWN else column) for key, column in self.further)

    @property
    def further(self) -> Origins:
        """Where columns that are not known come from."""
        return self.others | {(self.rest, ITS_OWN)} if self.rest else self.others

    def everything(self) -> Origins:
        """Where any of its columns comes from."""
        return _told(self.others).union(*(origins for _, origins in self.columns.values()))


@dataclass
class Scope:
    """What one SELECT can name.

    outer: the scope of the query around it. relations: what it reads, in order.
    merged: lower-case name → where it comes from, for columns that a join made one of.
    aliases: lower-case names that the SELECT gives, with where those come from that it has given so far.
    is_loose: whether it reads something that nothing is known of, so that no name can be wrong.
    tells_apart: whether a name that several tables have is a fault in it.
    """

    outer: Scope | None = None
    relations: list[Relation] = field(default_factory=list)
    merged: dict[str, Origins] = field(default_factory=dict)
    aliases: dict[str, Origins] = field(default_factory=dict)
    is_loose: bool = False
    tells_apart: bool = True

    def find(self, parts: Sequence[str]) -> Origins:
        """Where what is read comes from: `column`, `table.column` or `layer.table.column`, each with fields after it.

        Raises UnknownNameError where nothing in reach can be meant.
        """
        around = list(self._around())
        for scope in around:
            if (found := scope._own(parts)) is not None:
                return found
        if parts[0].lower() in _ALWAYS or any(scope.is_loose for scope in around):
            return NOWHERE
        if len(parts) > 1 and parts[0].lower() == "alias":
            return around[0].find(parts[1:])
        raise _unknown(parts, [relation for scope in around for relation in scope.relations])

    def has(self, name: str) -> bool:
        """Whether a table in it has the column for certain."""
        return any(name.lower() in relation.columns for relation in self.relations)

    def spelled(self, name: str) -> str:
        """The column's name as its table spells it; as it is given where no table here has it."""
        found = (relation.columns[name.lower()][0] for relation in self.relations if name.lower() in relation.columns)
        return next(found, name)

    def is_ambiguous(self, name: str) -> bool:
        """Whether several tables have the column, and neither a join made them one nor the SELECT names it anew."""
        lower = name.lower()
        if lower in self.merged or lower in self.aliases or not self.tells_apart:
            return False
        return sum(lower in relation.columns for relation in self.relations) > 1

    def star(
        self, only: str | None = None, without: Collection[tuple[str, str]] = ()
    ) -> Iterator[tuple[str, str, Origins]]:
        """Every column behind its relation's name, merged ones once; or every one of the relation of a name.

        without: relations' names and columns, lower-case, that are left out.
        """
        seen: set[str] = set()
        for relation in self.relations:
            own = {lower: it for lower, it in relation.columns.items() if (relation.name, lower) not in without}
            if only is not None and relation.name == only.lower():
                yield from ((relation.name, *it) for it in own.values())
            elif only is None:
                for lower, (name, origins) in own.items():
                    if lower not in seen:
                        yield relation.name, name, self.merged.get(lower, origins)
                seen |= self.merged.keys() & own.keys()

    def joined(self, added: Iterable[Relation], using: Iterable[str]) -> Scope:
        """The scope with more relations in it; the columns that they are joined by are one with those before them."""
        added = list(added)
        beside = replace(self, relations=[*self.relations, *added], merged=dict(self.merged))
        for name in using:
            own = [self.merged.get(name.lower()) or self._column(name) or NOWHERE]
            beside.merged[name.lower()] = NOWHERE.union(*own, *(one.find(name) or NOWHERE for one in added))
        return beside

    def _around(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def _own(self, parts: Sequence[str]) -> Origins | None:
        """Where it comes from, a column of a table first, then a column with fields, then a whole row."""
        lower = [part.lower() for part in parts]
        found = [one.find(parts[1]) for one in self.relations if len(parts) > 1 and one.name == lower[0]]
        found += [one.find(parts[2]) for one in self.relations if len(parts) > 2 and [one.layer, one.name] == lower[:2]]
        found = [origins for origins in found if origins is not None] or [self._column(parts[0])]
        rows = [one.everything() for one in self.relations if len(parts) == 1 and one.name == lower[0]]
        return next((origins for origins in [*found, *rows] if origins is not None), None)

    def _column(self, name: str) -> Origins | None:
        lower = name.lower()
        if lower in self.merged:
            return self.merged[lower]
        if self.has(name):
            return NOWHERE.union(*(one.columns[lower][1] for one in self.relations if lower in one.columns))
        if lower in self.aliases:
            return self.aliases[lower]
        unknown = [one.find(name) or NOWHERE for one in self.relations if one.is_open]
        return (unknown[0] if len(unknown) == 1 else NOWHERE) if unknown else None


def _told(origins: Origins) -> Origins:
    """Those of them of which the column is known."""
    return frozenset((key, column) for key, column in origins if column != ITS_OWN)


def _unknown(parts: Sequence[str], reach: Sequence[Relation]) -> UnknownNameError:
    name = ".".join(parts)
    meant = [relation for relation in reach if len(parts) > 1 and relation.name == parts[0].lower()]
    if meant:
        return UnknownNameError(name, f"{parts[0]} has no such column", parts[1], _names(meant))
    if len(parts) > 1:
        tables = {relation.name for relation in reach if relation.name}
        return UnknownNameError(name, f"it reads nothing that is called {parts[0]}", parts[0], tables)
    return UnknownNameError(name, "nothing that it reads has such a column", name, _names(reach))


def _names(relations: Iterable[Relation]) -> set[str]:
    return {name for relation in relations for name, _ in relation.columns.values()}
