"""What SQL files say, kept in a folder between loads: the tables that each reads, its columns and their lineage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from ml_platform.engine import lineage, query_walk, scope, sql
from ml_platform.engine.lineage import Columns


class SqlFiles:
    """Answers about SQL files by their content; only what was never asked before is parsed.

    folder: made when it is missing; any number of processes may use one. An entry that was damaged is made anew, and
    where nothing can be written everything is parsed each time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tables_read(self, text: str, at: str) -> tuple[str, ...]:
        """As `engine.sql.tables_read`."""
        return tuple(self._kept(["tables", text], lambda: list(sql.tables_read(text, at))))

    def columns(self, text: str, known: Mapping[str, Columns], at: str) -> Columns:
        """As `engine.lineage.lineage`, of the file's query. known: asset key → columns, of every table it reads."""

        def found() -> Any:
            columns = lineage.lineage(sql.parsed(text, at), known, at)
            return {"origins": columns.origins, "complete": columns.complete}

        inputs = sorted((key, list(of.origins), of.complete) for key, of in known.items())
        kept = self._kept(["columns", text, inputs], found)
        origins = {name: tuple((key, column) for key, column in of) for name, of in kept["origins"].items()}
        return Columns(origins, complete=kept["complete"])

    def _kept(self, asked: list[Any], answer: Callable[[], Any]) -> Any:
        path = self._folder / _digest(f"{_makers()}{json.dumps(asked)}")
        with suppress(OSError, ValueError):
            digest, _, said = path.read_text().partition("\n")
            if digest == _digest(said):
                return json.loads(said)
        said = json.dumps(answer())
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"{uuid4().hex}.writing")
            unfinished.write_text(f"{_digest(said)}\n{said}")
            os.replace(unfinished, path)
        return json.loads(said)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _makers() -> str:
    """What makes an answer: another version of it may answer differently."""
    own = (Path(str(module.__file__)).read_text() for module in (sql, lineage, query_walk, scope))
    return _digest("\n".join([version("sqlglot"), *own]))
