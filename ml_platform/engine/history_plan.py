"""The plan of a history: what was observed of each key, folded into intervals in which nothing about it changed.

An interval keeps the moments at which its version was observed again (`observed_at`), so that a version which arrives
late splits it where the whole history would have been split.
"""

from __future__ import annotations

from collections.abc import Sequence

from ml_platform.engine.merge_plan import DELETED, DELETED_AT, marked, same_key
from ml_platform.engine.plan import INCOMING, STANDING, Shape, quoted

FROM, TO, CURRENT, OBSERVED = "valid_from", "valid_to", "is_current", "observed_at"
MADE = (FROM, TO, CURRENT, OBSERVED)
_COLUMNS = ", ".join(quoted(column) for column in MADE)


def observations(shape: Shape, columns: Sequence[str]) -> str:
    """The incoming rows that are no delete markers, equal ones collapsed."""
    listed = ", ".join(quoted(column) for column in columns)
    return f"SELECT DISTINCT {listed} FROM {INCOMING} WHERE NOT {marked(shape)}"


def observed(shape: Shape, tracked: Sequence[str]) -> str:
    """What stands, as it was observed: each moment's version under the name of the event time."""
    at = quoted(shape.newest or "")
    listed = ", ".join(quoted(column) for column in (*shape.key, *tracked))
    return (
        f"SELECT {listed}, {quoted(FROM)} AS {at} FROM {STANDING} UNION ALL "
        f"SELECT {listed}, unnest({quoted(OBSERVED)}) AS {at} FROM {STANDING}"
    )


def folded(shape: Shape, tracked: Sequence[str]) -> str:
    """The rows of the touched files: of keys that come the intervals made anew, of all others as they are.

    INCOMING: what was observed, one row per key and moment. DELETED: all delete markers, none of them among INCOMING.
    """
    key = ", ".join(quoted(column) for column in shape.key)
    values = "".join(f", {quoted(column)}" for column in tracked)
    at = quoted(shape.newest or "")
    over = f"PARTITION BY {key} ORDER BY _at"
    differs = " OR ".join(
        ["_gone IS DISTINCT FROM lag(_gone) OVER steps"]
        + [f"{quoted(column)} IS DISTINCT FROM lag({quoted(column)}) OVER steps" for column in tracked]
    )
    nulls = "".join(f", NULL AS {quoted(column)}" for column in tracked)
    any_values = "".join(f", any_value({quoted(column)}) AS {quoted(column)}" for column in tracked)
    return f"""WITH comes AS (
    SELECT {key}{values}, {at} AS _at, false AS _gone FROM {INCOMING}
), goes AS (
    SELECT {key}, {quoted(DELETED_AT)} AS _at FROM {DELETED}
), touched AS (
    SELECT {key} FROM comes UNION SELECT {key} FROM goes
), stood AS (
    SELECT {key}{values}, {at} AS _at, false AS _gone FROM ({observed(shape, tracked)}) AS o
    WHERE EXISTS (SELECT 1 FROM touched AS t WHERE {same_key(shape, "t", "o")})
), together AS (
    SELECT {key}{values}, _at, _gone FROM comes
    UNION ALL SELECT {key}{values}, _at, _gone FROM stood AS o
    WHERE NOT EXISTS (SELECT 1 FROM comes AS c WHERE {same_key(shape, "c", "o")} AND c._at = o._at)
), alive AS (
    SELECT * FROM together AS o
    WHERE NOT EXISTS (SELECT 1 FROM goes AS g WHERE {same_key(shape, "g", "o")} AND g._at = o._at)
    UNION ALL SELECT {key}{nulls}, _at, true AS _gone FROM goes
), steps AS (
    SELECT *, CASE WHEN row_number() OVER steps = 1 OR {differs} THEN 1 END AS _starts FROM alive
    WINDOW steps AS ({over})
), runs AS (
    SELECT *, sum(coalesce(_starts, 0)) OVER ({over}) AS _run FROM steps
), intervals AS (
    SELECT {key}{any_values}, min(_at) AS {FROM}, list_sort(list(_at) FILTER (WHERE _starts IS NULL)) AS {OBSERVED},
        bool_or(_gone) AS _gone
    FROM runs GROUP BY {key}, _run
), ended AS (
    SELECT *, lead({FROM}) OVER (PARTITION BY {key} ORDER BY {FROM}) AS {TO} FROM intervals
)
SELECT {key}{values}, {_COLUMNS} FROM (
    SELECT {key}{values}, {FROM}, {TO}, {TO} IS NULL AS {CURRENT}, {OBSERVED} FROM ended WHERE NOT _gone
    UNION ALL SELECT {key}{values}, {_COLUMNS} FROM {STANDING} AS s
    WHERE NOT EXISTS (SELECT 1 FROM touched AS t WHERE {same_key(shape, "t", "s")})
) AS every ORDER BY {key}, {FROM}"""
