"""Row-wise queries: those of which each row comes from one row of one input, so that new rows can be read alone.

What is not known to be row-wise is taken not to be.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ml_platform.engine.plan import OURS

if TYPE_CHECKING:
    from sqlglot import exp

_VOLATILE = {
    *("RANDOM", "RAND", "UUID", "NEXTVAL", "GETDATE", "NOW"),
    *("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"),
}


@dataclass(frozen=True)
class Driven:
    """What a query's rows come from.

    key: asset key of the input that drives it; None where nothing does. because: why nothing does; else empty.
    """

    key: str | None
    because: str = ""


@lru_cache(maxsize=4096)
def driven(query: str) -> Driven:
    """The input that drives a query: a projection and filter over it, joined to others row by row.

    >>> driven("SELECT id FROM bronze.events WHERE id > 1")
    Driven(key='bronze/events', because='')
    >>> driven("SELECT count(*) FROM bronze.events").because
    'its query aggregates'
    """
    import sqlglot
    from sqlglot import exp

    select = sqlglot.parse_one(query, read="duckdb")
    source = select.args.get("from_") if isinstance(select, exp.Select) else None
    table = source.this if source is not None else None
    if not isinstance(select, exp.Select) or not isinstance(table, exp.Table) or not table.db:
        return Driven(None, "its query is not one SELECT from one table")
    because = _not_row_wise(select) or _joined(select, table)
    return Driven(None, because) if because else Driven(f"{table.db}/{table.name}")


def alone(query: str, inputs: Collection[str]) -> bool:
    """Whether each of the query's rows comes from one row of the only input, so that it can be read again at any time.

    inputs: as the query spells them.

    >>> alone("SELECT id FROM bronze.events", ["bronze.events"])
    True
    """
    return len(inputs) == 1 and min(inputs).partition(".")[0] not in OURS and driven(query).key is not None


def _not_row_wise(select: exp.Select) -> str:
    from sqlglot import exp

    if len(list(select.find_all(exp.Query))) > 1 or select.args.get("with_"):
        return "its query has queries inside"
    for name in ("group", "having", "qualify", "distinct", "order", "limit", "offset", "sample", "laterals", "windows"):
        if select.args.get(name):
            return f"its query has {name.upper()}"
    if select.find(exp.AggFunc):
        return "its query aggregates"
    if select.find(exp.Window):
        return "its query has a window"
    unknown = select.find(exp.Anonymous, exp.AnonymousAggFunc, exp.UDTF, exp.TableSample, exp.Pivot)
    if unknown:
        return f"its query has {unknown.sql(dialect='duckdb')}, which may look at more than a row"
    volatile = next((f for f in select.find_all(exp.Func) if f.sql_name().upper() in _VOLATILE), None)
    return f"its query has {volatile.sql(dialect='duckdb')}, which is another each time" if volatile else ""


def _joined(select: exp.Select, table: exp.Table) -> str:
    from sqlglot import exp

    for join in select.args.get("joins") or ():
        other = join.this
        if join.side not in ("", "LEFT") or join.kind not in ("", "INNER", "OUTER", "CROSS") or join.method:
            return "its query has a join that is neither inner nor left"
        if not isinstance(other, exp.Table) or (other.db, other.name) == (table.db, table.name):
            return "its query reads the table more than once"
    return ""
