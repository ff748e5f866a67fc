"""Windows over single rows, in SQL: when rows come into them and go out, and what they then hold.

Every query here reads `__rows`, the single rows with `__usable`, the moment from which one can be used; or `__running`,
a row for each entity and moment at which a window changes. keys: the entity's columns, quoted; of: a column, quoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

USABLE = (
    "SELECT *, CASE WHEN event_time IS NULL OR known_at IS NULL THEN NULL WHEN known_at > event_time THEN known_at "
    'ELSE event_time END AS "__usable" FROM {query}'
)
_SO_FAR = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def interval(hours: int) -> str:
    """So many hours."""
    return f"INTERVAL {hours} HOURS"


def same(left: str, right: str, keys: Sequence[str], *, moment: bool = True) -> str:
    """That two relations tell of one entity, and of one moment."""
    return " AND ".join(f"{left}.{key} = {right}.{key}" for key in (*keys, *(['"__at"'] if moment else [])))


def steps(keys: Sequence[str], partition: str, hours: int, added: Mapping[str, str], names: Sequence[str]) -> str:
    """What each row adds to the sums when it comes into a window, and takes away when it goes out.

    added: sum → expression over a row, of this window's sums; the other names stay as they are.
    """
    shared = "".join(f"{column}, " for column in (*keys, *([partition] if partition else [])))

    def step(at: str, sign: str, where: str) -> str:
        sums = ", ".join(f"{sign}({added[name]}) AS {name}" if name in added else f"0 AS {name}" for name in names)
        return f'SELECT {shared}{at} AS "__at", {sums} FROM "__rows" WHERE {where}'

    coming = step('"__usable"', "", f'"__usable" IS NULL OR {_comes(hours)}')
    return f"{coming} UNION ALL {step(_gone(hours), '-', _comes(hours))}"


def distinct_steps(keys: Sequence[str], partition: str, hours: int, of: str, own: str, names: Sequence[str]) -> str:
    """One more where a value comes into a window that does not hold it, one less where the last of it goes out.

    own: the sum that counts them; the other names stay as they are.
    """
    key = ", ".join(keys)
    by = f'PARTITION BY {key}, {of} ORDER BY "__usable", event_time'
    reaching = (
        f'SELECT {key}, {of}, "__usable", event_time, max({_gone(hours)}) OVER ({by} {_SO_FAR}) AS "__ends" '
        f'FROM "__rows" WHERE {of} IS NOT NULL AND {_comes(hours)}'
    )
    stretches = (
        f'SELECT {key}, "__usable", "__ends", lag("__ends") OVER ({by}) AS "__before", '
        f'lead("__usable") OVER ({by}) AS "__after" FROM ({reaching}) AS reaching'
    )
    # These moments are of rows that come or go, whose partition stands beside.
    none = f"NULL AS {partition}, " if partition else ""

    def step(at: str, number: int, where: str) -> str:
        sums = ", ".join(f"{number if name == own else 0} AS {name}" for name in names)
        return f'SELECT {key}, {none}{at} AS "__at", {sums} FROM ({stretches}) AS stretches WHERE {where}'

    return " UNION ALL ".join(
        (
            step('"__usable"', 1, '"__before" IS NULL OR "__usable" > "__before"'),
            step('"__before"', -1, '"__usable" > "__before"'),
            step('"__ends"', -1, '"__after" IS NULL'),
        )
    )


def changes(keys: Sequence[str], partition: str, names: Sequence[str]) -> dict[str, str]:
    """The moments at which a window changes, from `__steps`, and the sums from each on."""
    key = ", ".join(keys)
    sums = ", ".join(f"sum({name}) AS {name}" for name in names)
    running = ", ".join(f"sum({name}) OVER so_far AS {name}" for name in names)
    least, kept = (f"min({partition}) AS {partition}, ", f"{partition}, ") if partition else ("", "")
    return {
        "__changes": f'SELECT {key}, {least}"__at", {sums} FROM "__steps" GROUP BY {key}, "__at"',
        "__running": f'SELECT {key}, {kept}"__at", {running} FROM "__changes" '
        f'WINDOW so_far AS (PARTITION BY {key} ORDER BY "__at" {_SO_FAR})',
    }


def last(keys: Sequence[str], of: str) -> str:
    """At each moment the value of the latest event that was known, as `__value`, and its event time, as `__about`."""
    key, running = ", ".join(keys), ", ".join(f"r.{each}" for each in keys)
    order = f'"__usable", event_time, known_at, {of}'
    told = (
        f'SELECT {key}, "__usable" AS "__at", event_time AS "__about", known_at, {of} AS "__value", '
        f'max(event_time) OVER (PARTITION BY {key} ORDER BY {order} {_SO_FAR}) AS "__latest" '
        f'FROM "__rows" WHERE {of} IS NOT NULL'
    )
    ranked = (
        f'SELECT {key}, "__at", "__about", "__value", row_number() OVER (PARTITION BY {key}, "__at" '
        f'ORDER BY "__about" DESC, known_at DESC, "__value" DESC) AS "__rank" '
        f'FROM ({told}) AS told WHERE "__about" = "__latest"'
    )
    # A value stands until the next one: as far as the count of values stays what it is.
    stretches = (
        f'SELECT {running}, r."__at", l."__about", l."__value", count(l."__about") OVER (PARTITION BY {running} '
        f'ORDER BY r."__at" {_SO_FAR}) AS "__stretch" FROM "__running" AS r '
        f'LEFT JOIN ({ranked}) AS l ON {same("l", "r", keys)} AND l."__rank" = 1'
    )
    within = f'PARTITION BY {key}, "__stretch"'
    return (
        f'SELECT {key}, "__at", max("__about") OVER ({within}) AS "__about", max("__value") OVER ({within}) AS '
        f'"__value" FROM ({stretches}) AS stretches'
    )


def extreme_of_those_that_came(keys: Sequence[str], hours: int, function: str, of: str) -> str:
    """At each moment the least or greatest `__value` of the rows that came in within the window, and their `__count`.

    All rows that a window holds are among them; so are late ones that have left already.
    """
    key = ", ".join(keys)
    told = (
        f'SELECT {key}, "__usable" AS "__at", {of} AS "__value" FROM "__rows" WHERE {of} IS NOT NULL AND '
        f'{_comes(hours)} UNION ALL SELECT {key}, "__at", NULL AS "__value" FROM "__running"'
    )
    framed = (
        f'SELECT {key}, "__at", {function}("__value") OVER so_long AS "__value", count("__value") OVER so_long AS '
        f'"__count" FROM ({told}) AS told WINDOW so_long AS (PARTITION BY {key} ORDER BY "__at" '
        f"RANGE BETWEEN {interval(hours)} PRECEDING AND CURRENT ROW)"
    )
    return (
        f'SELECT {key}, "__at", max("__value") AS "__value", max("__count") AS "__count" FROM ({framed}) AS framed '
        f'GROUP BY {key}, "__at"'
    )


def extreme_of_those_held(keys: Sequence[str], hours: int, function: str, of: str, came: str, count: str) -> str:
    """The same of exactly the rows that a window holds, at the moments at which others have come and left.

    came: the relation of the others' count; count: how many values the window holds, in `__running` as r.
    """
    running = ", ".join(f"r.{each}" for each in keys)
    # Grouped, so that no engine joins all rows before it knows that there is hardly such a moment.
    moments = (
        f'SELECT {running}, r."__at" FROM "__running" AS r JOIN "{came}" AS s ON {same("s", "r", keys)} '
        f'GROUP BY {running}, r."__at" HAVING max(s."__count") <> max({count})'
    )
    return (
        f'SELECT {running}, r."__at", {function}(w.{of}) AS "__value" FROM ({moments}) AS r '
        f'JOIN "__rows" AS w ON {same("w", "r", keys, moment=False)} AND w."__usable" <= r."__at" '
        f'AND w.event_time >= r."__at" - {interval(hours)} GROUP BY {running}, r."__at"'
    )


def _gone(hours: int) -> str:
    """The first moment at which a row is out again."""
    return f"event_time + {interval(hours)} + INTERVAL 1 MICROSECOND"


def _comes(hours: int) -> str:
    """That a row is known early enough to come in at all."""
    return f'"__usable" <= event_time + {interval(hours)}'
