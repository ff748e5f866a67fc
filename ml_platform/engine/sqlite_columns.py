"""The columns of a SQLite table: one type each, by the values in it, for SQLite takes any value into any column.

Its driver would take the type from the first rows, write numbers beside texts with six digits, and whole numbers beside
others as the nearest that a float holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.engine.database import Database, column_name, quoted
from ml_platform.engine.selected import Selected
from ml_platform.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = ("integer", "real", "text", "blob")
# A value of each kind, which tells the driver the column's type before the first of the table's own does.
_FIRST = {"": "NULL", "integer": "0", "real": "0.0", "text": "''", "blob": "x''"}
_EXACT = 2**53
_BEYOND = 2 ** len(_KINDS)


def select(table: str, rest: str, order: str, database: Database) -> Selected:
    """The query of the table's rows, each column of the one type that holds all its values as they are.

    rest: which rows; order: their order. Raises SourceError for a column with values of several kinds.
    """
    names = database.columns(table)
    found = database.row(f"SELECT {', '.join(map(_asked, names))} FROM {quoted(table)} {rest}")
    kinds = [_kind(table, name, said or 0) for name, said in zip(names, found, strict=True)]
    first = ", ".join(f"{_FIRST[kind]} AS {column_name(name)}" for name, kind in zip(names, kinds, strict=True))
    own = ", ".join(
        f"CAST({column_name(name)} AS REAL)" if kind == "real" else column_name(name)
        for name, kind in zip(names, kinds, strict=True)
    )
    query = f"SELECT {first} UNION ALL SELECT * FROM (SELECT {own} FROM {quoted(table)} {rest} {order})"
    return Selected(table, query, [_type(kind) for kind in kinds], before=1)


def _asked(column: str) -> str:
    """What kinds of values the column has: a bit for each, and one for a number that no float holds."""
    name = column_name(column)
    bits = [f"max(typeof({name}) = '{kind}') * {2**at}" for at, kind in enumerate(_KINDS)]
    beyond = f"max(typeof({name}) = 'integer' AND {name} NOT BETWEEN {-_EXACT} AND {_EXACT}) * {_BEYOND}"
    return " + ".join([*bits, beyond])


def _kind(table: str, column: str, said: int) -> str:
    """The kind of all values of a column; empty where all are NULL."""
    kinds = [kind for at, kind in enumerate(_KINDS) if said & 2**at]
    if len(kinds) < 2:
        return next(iter(kinds), "")
    if kinds == ["integer", "real"] and not said & _BEYOND:
        return "real"
    beyond = "; whole numbers beyond 2^53 are no floats" if kinds == ["integer", "real"] else ""
    raise SourceError(
        f"{table} has in its column {column} values of the types {', '.join(kinds)}, but a column lands as one{beyond}",
        allowed="Whole numbers up to 2^53 may stand beside others",
        remedy=f"Mend the rows, or declare a view of the table that casts {column}, for instance to TEXT",
    )


def _type(kind: str) -> pa.DataType:
    import pyarrow as pa

    types = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}
    # Any declared type takes a column of nothing but NULL; another file may say what it is.
    return types.get(kind, pa.null())
