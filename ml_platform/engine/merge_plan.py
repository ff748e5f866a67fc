"""Plans of a merge: the queries that find which files of a table incoming rows touch, and what becomes of those files.

The row of a key with the greatest event time stands; NULL is the oldest. Where a delete marker and a row have the same
event time the marker wins, so that the order of arrival never matters.
"""

from __future__ import annotations

from collections.abc import Sequence

from ml_platform.engine.plan import INCOMING, STANDING, Shape, quoted

DELETED = "deleted.rows"
DELETED_AT = "deleted_at"


def same_key(shape: Shape, one: str, other: str) -> str:
    """The predicate that two relations' rows have one key, of one partition where the table is divided.

    >>> same_key(Shape(key=("id",), partition="month"), "i", "s")
    'i."month" = s."month" AND i."id" = s."id"'
    """
    columns = [*([shape.partition] if shape.partition else []), *(c for c in shape.key if c != shape.partition)]
    return " AND ".join(f"{one}.{quoted(column)} = {other}.{quoted(column)}" for column in columns)


def marked(shape: Shape) -> str:
    """The predicate that an incoming row is a delete marker."""
    return f"coalesce(({shape.delete_when}\n), false)" if shape.delete_when else "false"


def counted(shape: Shape, leading: str | None) -> str:
    """For each partition: how many incoming rows there are, whether any key is incomplete, and the range of the keys.

    Beside it stands, the same in every row, how many keys there are by their hashes: if as many as rows, no two rows
    have one key.
    leading: the column of which the lowest and the highest value are told; None where no column's are.
    """
    columns = _listed(_grouping(shape))
    partial = " OR ".join(f"{quoted(column)} IS NULL" for column in shape.key)
    partition = quoted(shape.partition) if shape.partition else "''"
    key = quoted(leading) if leading else "NULL"
    return (
        f"SELECT {partition} AS p, count(*) AS rows, bool_or({partial}) AS partial, min({key}) AS low, max({key}) "
        f"AS high, (SELECT count(DISTINCT hash({columns})) FROM {INCOMING}) AS keys FROM {INCOMING} GROUP BY p"
    )


def newest(shape: Shape, columns: Sequence[str]) -> str:
    """Of the incoming rows of each key the newest; equal rows collapse, differing ones of one moment all stay."""
    listed = ", ".join(quoted(column) for column in columns)
    by = ", ".join(quoted(column) for column in _grouping(shape))
    order = [f"{quoted(shape.newest)} DESC NULLS LAST"] if shape.newest else []
    order = [*order, *(["_marked DESC"] if shape.delete_when else [])] or ["1"]
    return (
        f"SELECT DISTINCT {listed} FROM (SELECT *, {marked(shape)} AS _marked FROM {INCOMING}) AS incoming "
        f"QUALIFY rank() OVER (PARTITION BY {by} ORDER BY {', '.join(order)}) = 1"
    )


def alive(shape: Shape) -> str:
    """The incoming rows without those that a delete marker of earlier arrival is newer than."""
    if shape.newest is None:
        raise AssertionError("a delete marker has an event time")
    at = quoted(shape.newest)
    return (
        f"SELECT * FROM {INCOMING} AS i WHERE {marked(shape)} OR NOT EXISTS (SELECT 1 FROM {DELETED} AS d "
        f"WHERE {same_key(shape, 'i', 'd')} AND (i.{at} IS NULL OR d.{quoted(DELETED_AT)} >= i.{at}))"
    )


def joined(shape: Shape, columns: Sequence[str]) -> str:
    """Of the incoming and the standing rows of each key the newer; the incoming one where neither is.

    INCOMING and STANDING: one row per key each.
    """
    listed = ", ".join(quoted(column) for column in columns)
    by = ", ".join(quoted(column) for column in _grouping(shape))
    at = f"{quoted(shape.newest)} DESC NULLS LAST, " if shape.newest else ""
    return (
        f"SELECT {listed} FROM (SELECT *, 1 AS _side FROM {INCOMING} "
        f"UNION ALL BY NAME SELECT *, 0 AS _side FROM {STANDING}) AS both_sides "
        f"QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {at}_side DESC) = 1"
    )


def markers(shape: Shape) -> str:
    """The incoming delete markers that are not in the table of them yet."""
    if shape.newest is None:
        raise AssertionError("a delete marker has an event time")
    listed = ", ".join(f"i.{quoted(column)}" for column in _grouping(shape))
    at = f"i.{quoted(shape.newest)}"
    return (
        f"SELECT DISTINCT {listed}, {at} AS {quoted(DELETED_AT)} FROM {INCOMING} AS i WHERE {marked(shape)} "
        f"AND NOT EXISTS (SELECT 1 FROM {DELETED} AS d WHERE {same_key(shape, 'i', 'd')} "
        f"AND d.{quoted(DELETED_AT)} = {at}) ORDER BY {listed}, {at}"
    )


def collisions(shape: Shape, place: str) -> str:
    """For each place in the standing rows: how many of them have an incoming key, and which of the two is newer.

    place: an expression over a standing row. newer: standing rows that are newer than the incoming row of their key;
    tied: of the same moment.
    """
    at = quoted(shape.newest) if shape.newest else None
    newer = f"count(*) FILTER (WHERE NOT ({_beats(at)}))" if at else "0"
    tied = f"count(*) FILTER (WHERE i.{at} IS NOT DISTINCT FROM s.{at})" if at else "count(*)"
    partition = f"s.{quoted(shape.partition)}" if shape.partition else "''"
    return (
        f"SELECT {partition} AS partition, {place} AS place, count(*) AS matched, {newer} AS newer, {tied} AS tied "
        f"FROM {STANDING} AS s JOIN {INCOMING} AS i ON {same_key(shape, 'i', 's')} GROUP BY 1, 2"
    )


def holding(shape: Shape, files: Sequence[str]) -> str:
    """The numbers of the relations that hold an incoming key. files: relations, each of some standing files."""
    return " UNION ALL ".join(
        f"SELECT {number} AS number WHERE EXISTS (SELECT 1 FROM {file} AS s JOIN {INCOMING} AS i "
        f"ON {same_key(shape, 'i', 's')})"
        for number, file in enumerate(files)
    )


def fresh(shape: Shape, columns: Sequence[str]) -> str:
    """The incoming rows without those that stand already, to the last value."""
    same = " AND ".join(
        f"i.{quoted(column)} IS NOT DISTINCT FROM s.{quoted(column)}" for column in columns if column not in shape.key
    )
    joined = " AND ".join(part for part in (same_key(shape, "i", "s"), same) if part)
    return f"SELECT * FROM {INCOMING} AS i WHERE NOT EXISTS (SELECT 1 FROM {STANDING} AS s WHERE {joined})"


def staying(shape: Shape, columns: Sequence[str], standing: str, near: str, *, contested: bool) -> str:
    """The rows of some standing files that no incoming row takes the place of.

    standing: the files' relation. near: predicate that an incoming row can have a key that they hold.
    contested: whether any standing row is newer than the incoming one of its key.
    """
    beats = f" AND ({_beats(quoted(shape.newest))})" if shape.newest and contested else ""
    return (
        f"SELECT {_listed(columns)} FROM {standing} AS s WHERE NOT EXISTS (SELECT 1 FROM {INCOMING} AS i "
        f"WHERE ({near}) AND {same_key(shape, 'i', 's')}{beats})"
    )


def coming(shape: Shape, columns: Sequence[str], within: str, *, contested: bool) -> str:
    """The incoming rows that the table gets, in the order of their keys.

    within: predicate that an incoming row belongs here. contested: whether a row of STANDING is newer than any.
    """
    lost = (
        f" AND NOT EXISTS (SELECT 1 FROM {STANDING} AS s WHERE {same_key(shape, 'i', 's')} "
        f"AND NOT ({_beats(quoted(shape.newest))}))"
        if shape.newest and contested
        else ""
    )
    return (
        f"SELECT {_listed(columns)} FROM (SELECT * FROM {INCOMING} AS i WHERE ({within}) AND NOT {marked(shape)}{lost} "
        f"ORDER BY {_listed(_grouping(shape))}) AS winners"
    )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(quoted(column) for column in columns)


def _beats(at: str | None) -> str:
    """The predicate that an incoming row takes the place of a standing one; on a tie it does."""
    return f"s.{at} IS NULL OR coalesce(i.{at} >= s.{at}, false)"


def _grouping(shape: Shape) -> list[str]:
    return [*([shape.partition] if shape.partition else []), *(c for c in shape.key if c != shape.partition)]
