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
    complete: whether these are all; else there may be more, of which nothing is known.
    """

    origins: Mapping[str, tuple[tuple[str, str], ...]]
    complete: bool = True


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
    named = ((name, origins) for name, origins in found.columns.values() if not name.startswith(UNNAMED))
    origins = {name: tuple(sorted(origins)) for name, origins in named}
    return Columns(origins, complete=not found.is_open)


def _relation(key: str, columns: Columns) -> Relation:
    own = ((name, frozenset({(key, name)})) for name in columns.origins)
    return Relation.of(own, has_more=not columns.complete, rest=None if columns.complete else key)
