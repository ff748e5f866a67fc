"""The columns of what is declared: sources and functions declare theirs, those of queries follow from their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import dagster as dg

from ml_platform.binding import home
from ml_platform.engine.lineage import UNKNOWN, Columns
from ml_platform.engine.sql import read
from ml_platform.engine.sql_files import SqlFiles
from ml_platform.errors import DeclarationError, nearest

# Of one load each: a tree itself cannot be referred to weakly.
_FOUND: WeakKeyDictionary[Any, dict[str, Columns]] = WeakKeyDictionary()
_FILES: WeakKeyDictionary[Any, SqlFiles] = WeakKeyDictionary()


@dataclass(frozen=True)
class Derivation:
    """How the columns of a table follow from those of others.

    reads: asset keys of the others. columns: from theirs to its own.
    """

    reads: tuple[str, ...]
    columns: Callable[[Mapping[str, Columns]], Columns]


class Derived(Protocol):
    """A component that can say what columns its table has."""

    def derivation(self, context: dg.ComponentLoadContext, key: str) -> Derivation:
        """How they follow from others. context: of any component of the tree; key: the component's own asset key."""
        ...


def columns_of(context: dg.ComponentLoadContext, key: str) -> Columns:
    """The columns of the table of an asset key, as far as they are known before it is made.

    Raises DeclarationError for a query, here or in anything that it is made from, that reads what is not there, and
    for tables that are made from each other.
    """
    found = _FOUND.setdefault(context.component_tree.state_tracker, {})
    derivations: dict[str, Derivation] = {}
    waiting = [key]
    while waiting:
        last = waiting[-1]
        if last not in found and last not in derivations:
            derivations[last] = _derivation(context, last)
            waiting += _unfound(derivations[last].reads, found, derivations, last)
            continue
        waiting.pop()
        if last not in found:
            derivation = derivations[last]
            found[last] = derivation.columns({key: found[key] for key in derivation.reads})
    return found[key]


def in_query(context: dg.ComponentLoadContext, key: str, compiled: Callable[[str], str] = str) -> Derivation | None:
    """How the columns of the query of an asset key follow; None where it is made by no query.

    compiled: what the query in the file is made into.
    """
    path = context.defs_module_path / key / f"{key.rpartition('/')[2]}.sql"
    if not path.exists():
        return None
    text, at = compiled(read(path)), f"{context.defs_module_path.name}/{key}/{path.name}"
    files = sql_files(context)
    return Derivation(files.tables_read(text, at), lambda known: files.columns(text, known, at))


def sql_files(context: dg.ComponentLoadContext) -> SqlFiles:
    """What SQL files say, kept in the platform's home."""
    tracker = context.component_tree.state_tracker
    if (files := _FILES.get(tracker)) is None:
        files = _FILES[tracker] = SqlFiles(home() / "definitions")
    return files


def require_columns(has: Columns, needed: Sequence[str], at: str) -> None:
    """Returns where a table has every column that is needed of it; else raises DeclarationError, naming the nearest.

    at: the file that needs them.
    """
    names = {name.lower() for name in has.origins}
    for column in needed:
        if has.complete and column.lower() not in names:
            raise DeclarationError(
                f"{at}: it builds on a column {column}, but there is none", allowed=nearest(column, has.origins)
            )


def require_where(context: dg.ComponentLoadContext, key: str, predicate: str | None, at: str) -> None:
    """Returns where a predicate, if there is one, is one expression over the columns of the table of an asset key.

    at: the file and line that has it, for errors.
    """
    if predicate is not None:
        has = columns_of(context, key)
        sql_files(context).require_predicate(predicate, f"{at}: where", tuple(has.origins) if has.complete else None)


def _derivation(context: dg.ComponentLoadContext, key: str) -> Derivation:
    declared = (context.defs_module_path / key / "defs.yaml").exists()
    component: Any = context.load_component(key) if declared else None
    # By the method's name: to ask for an instance of a protocol takes longer than to derive.
    derived: Derived | None = component if hasattr(component, "derivation") else None
    return derived.derivation(context, key) if derived else Derivation((), lambda _: UNKNOWN)


def _unfound(
    reads: Sequence[str], found: Mapping[str, Columns], derivations: Mapping[str, Derivation], reader: str
) -> list[str]:
    """The inputs that are to be found first."""
    waiting = [key for key in reads if key not in found]
    for key in waiting:
        if key in derivations:
            around = _circle(key, reader, derivations)
            raise DeclarationError(
                f"{reader}: there is a circle, but nothing can be made from itself: {around}",
                remedy="Take one of these arrows out",
            )
    return waiting


def _circle(first: str, last: str, derivations: Mapping[str, Derivation]) -> str:
    """The way from what is read to its reader, which reads it."""
    ways: list[list[str]] = [[first]]
    while ways[0][-1] != last:
        way = ways.pop(0)
        ways += [[*way, key] for key in derivations[way[-1]].reads if key in derivations and key not in way]
    return " from ".join([*ways[0], first])
