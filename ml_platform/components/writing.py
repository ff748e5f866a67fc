"""What a table's declaration has to say for the way in which it is written."""

from __future__ import annotations

from typing import Protocol

from ml_platform.errors import DeclarationError


class Written(Protocol):
    """The fields of a table that its way of writing builds on."""

    partitioned: bool
    key: list[str]
    newest: str | None
    delete_when: str | None


def require_writable(at: str, write: str, table: Written) -> None:
    """Returns where the fields go together; else raises DeclarationError. at: the file, for errors."""
    keyed = write in ("merge", "history")
    if write == "append" and table.key:
        raise DeclarationError(
            f"{at}: write is 'append' and a key is declared, but what is appended is not compared",
            allowed="write: merge keeps one row of each key",
            remedy="Remove key, or merge",
        )
    if keyed and not table.key:
        raise DeclarationError(
            f"{at}: write is {write!r}, but the table has no key to tell rows apart by", remedy="Declare key"
        )
    if table.newest is None and (write == "history" or table.delete_when is not None):
        what = "a delete marker" if table.delete_when else "a version"
        raise DeclarationError(
            f"{at}: newest is not declared, but {what} holds from a moment", remedy="Declare newest, the event time"
        )
    if write == "history" and table.partitioned:
        raise DeclarationError(
            f"{at}: a history is partitioned, but a version can hold longer than one partition",
            remedy="Remove partitioned; only the files that hold a changed key are rewritten all the same",
        )
    if table.delete_when is not None:
        _require_predicate(at, table.delete_when, keyed=keyed)


def require_row_wise(at: str, query: str | None) -> None:
    """Returns where a query's rows each come from one row of one input; else raises DeclarationError."""
    from ml_platform.engine.row_wise import driven

    because = driven(query).because if query else "a Python function may look at more than a row"
    if because:
        raise DeclarationError(
            f"{at}: write is 'append', but {because}, and what was appended is never made again",
            allowed="Appended is what a projection or filter makes of the rows that come to one table",
            remedy="Simplify the query, or declare another write",
        )


def _require_predicate(at: str, predicate: str, *, keyed: bool) -> None:
    from ml_platform.engine.predicate import require_predicate

    if not keyed:
        raise DeclarationError(
            f"{at}: delete_when is declared, but only a key that is merged can be deleted",
            allowed="write: merge and write: history know delete markers",
        )
    require_predicate(predicate, f"{at}: delete_when", None)
