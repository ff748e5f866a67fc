"""Column lineage: the columns of a query, and which columns of which tables each of them is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine.query_walk import QueryWalk
from ml_platform.engine.scope import UNNAMED, Relation

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class Columns:
    """The columns of a table, in order.

    origins: column → asset key and column of everything that its values are made from.
    complete: whether these are all that have a name which is known; else there may be more.
    others: where those come from, as far as that is known; of a column `ITS_OWN` each from the one of its own name.
    """

    origins: Mapping[str, tuple[tuple[str, str], ...]]
    complete: bool = True
    others: tuple[tuple[str, str], ...] = ()

    @property
    def lineage(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Column → where it comes from; under the empty name, where every other one does."""
        return {**self.origins, "": self.others} if self.others else dict(self.origins)


UNKNOWN = Columns({}, complete=False)


def lineage(query: exp.Query, known: Mapping[str, Columns], at: str, *, made: bool = False) -> Columns:
    """The columns of a query in DuckDB's dialect, over tables whose columns are known as far as they are.

    known: asset key → columns; a table that is not in it is unknown. at: the file, for errors.
    made: whether a table is made of its rows, so that each column has to have a name of its own.
    Raises DeclarationError, with the line and the nearest name, for a table or a column that cannot be meant, and for
    two columns of one name; what cannot be judged without running the query is left to it.
    """
    walk = QueryWalk({key: _relation(key, columns) for key, columns in known.items()}, at)
    try:
        found = walk.query(query, {}, None)
        if made:
            walk.require_own_names(query)
    except RecursionError:  # Too deep to be walked, which is no fault of the query.
        return UNKNOWN
    origins = {name: tuple(sorted(of)) for name, of in found.columns.values() if not name.startswith(UNNAMED)}
    unnamed = (of for name, of in found.columns.values() if name.startswith(UNNAMED))
    others = found.further.union(*unnamed) if found.is_open else ()
    return Columns(origins, complete=not found.is_open, others=tuple(sorted(others)))


def _relation(key: str, columns: Columns) -> Relation:
    own = ((name, frozenset({(key, name)})) for name in columns.origins)
    return Relation.of(own, has_more=not columns.complete, rest=None if columns.complete else key)
