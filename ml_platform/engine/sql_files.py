"""What SQL files say, kept in a folder between loads: the tables that each reads, its columns and their lineage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ml_platform.engine import choices, crossing, lineage, pivots, predicate, query_expressions, query_walk, scope, sql
from ml_platform.engine.kept import Kept
from ml_platform.engine.lineage import Columns


class SqlFiles:
    """Answers about SQL files by their content; only what was never asked before is parsed.

    folder: as `Kept` has it; of one load, so that what was asked once in it is not read again.
    """

    def __init__(self, folder: Path) -> None:
        self._kept = Kept(folder / "sql.txt")

    def tables_read(self, text: str, at: str) -> tuple[str, ...]:
        """As `engine.sql.tables_read`."""
        return tuple(self._answer(["tables", text], lambda: list(sql.tables_read(text, at))))

    def columns(self, text: str, known: Mapping[str, Columns], at: str) -> Columns:
        """As `engine.lineage.lineage`, of the file's query. known: asset key → columns, of every table it reads."""

        def found() -> Any:
            columns = lineage.lineage(sql.parsed(text, at), known, at, made=True)
            return {"origins": columns.origins, "complete": columns.complete, "others": columns.others}

        inputs = sorted((key, list(of.origins), of.complete) for key, of in known.items())
        kept = self._answer(["columns", text, inputs], found)
        origins = {name: tuple((key, column) for key, column in of) for name, of in kept["origins"].items()}
        others = tuple((key, column) for key, column in kept["others"])
        return Columns(origins, complete=kept["complete"], others=others)

    def crossings(self, text: str, column: str, at: str) -> list[tuple[int, str, tuple[str, ...]]]:
        """As `engine.crossing.crossings`, of the file's query."""
        kept = self._answer(["crossings", text, column], lambda: crossing.crossings(sql.parsed(text, at), column))
        return [(line, part, tuple(keys)) for line, part, keys in kept]

    def named(self, text: str) -> tuple[str, ...] | None:
        """As `engine.predicate.query_columns`."""
        found = self._answer(["named", text], lambda: predicate.query_columns(text))
        return None if found is None else tuple(found)

    def require_predicate(self, text: str, at: str, columns: tuple[str, ...] | None) -> None:
        """As `engine.predicate.require_predicate`."""
        self._answer(["predicate", text, columns], lambda: predicate.require_predicate(text, at, columns))

    def _answer(self, asked: list[Any], parse: Any) -> Any:
        return self._kept.answer([_makers(), *asked], parse)


@cache
def _makers() -> str:
    """What makes an answer: another version of it may answer differently."""
    made_by = (sql, lineage, query_walk, query_expressions, scope, choices, pivots, predicate, crossing)
    own = (Path(str(module.__file__)).read_text() for module in made_by)
    return hashlib.sha256("\n".join([version("sqlglot"), *own]).encode()).hexdigest()[:32]
