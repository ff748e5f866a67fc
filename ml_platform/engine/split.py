"""The split: which rows a model is fitted on, tuned on and tested on; by time, with gaps, or by a hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl

from ml_platform.errors import AuditError
from ml_platform.records.split import HashSplit, Split, TimeSplit

_REMEDY = "Mend split in the training set's defs.yaml"


def assign(
    rows: pl.DataFrame,
    split: Split,
    event_time: str = "event_time",
    starts: Mapping[str, datetime | None] | None = None,
) -> pl.DataFrame:
    """The rows that are in a split, in their order, with a column `split` that names it; the others are left out.

    event_time: the column that gaps are measured on. starts: split → its first event, where rows are but a part of all.
    Raises AuditError where splits share a value, since a row cannot be fitted on and tested on.
    """
    if isinstance(split, HashSplit):
        return _by_hash(rows, split)
    _require_apart(split)
    chosen = rows.with_columns(_by_range(rows, split).alias("split")).filter(pl.col("split").is_not_null())
    if not split.gap_hours:
        return chosen
    firsts = {name: chosen.filter(pl.col("split") == name)[event_time].min() for name in split.ranges}
    return _with_gaps(chosen, split, event_time, starts or firsts)  # type: ignore[arg-type]


def first_events(split: TimeSplit, event_time: str, *, timestamps: bool) -> str:
    """An SQL list of the first event of each split. timestamps: whether the split is by such a column."""
    columns = []
    for name, bounds in split.ranges.items():
        first, last = (
            (f"CAST('{it.isoformat()}' AS TIMESTAMPTZ)" for it in _moments(*bounds)) if timestamps else ("", "")
        )
        within = f'"{split.by}" >= {first} AND "{split.by}" < {last}' if timestamps else _between(split.by, bounds)
        columns.append(f'min(CASE WHEN {within} THEN "{event_time}" END) AS "{name}"')
    return ", ".join(columns)


def _between(column: str, bounds: tuple[str, str]) -> str:
    first, last = (bound.replace("'", "''") for bound in bounds)
    return f"\"{column}\" BETWEEN '{first}' AND '{last}'"


def _require_apart(split: TimeSplit) -> None:
    ordered = sorted(split.ranges.items(), key=lambda item: item[1])
    for (name, (first, last)), (other, (next_first, _)) in zip(ordered, [*ordered[1:], ("", ("", ""))], strict=True):
        if last < first or (other and next_first <= last):
            raise AuditError(
                f"the split {name} is {first} to {last}, but it is empty or runs into the split {other or name}",
                allowed="Ranges are inclusive and apart",
                remedy=_REMEDY,
            )


def _by_range(rows: pl.DataFrame, split: TimeSplit) -> pl.Expr:
    column = pl.col(split.by)
    within = {name: column.is_between(pl.lit(first), pl.lit(last)) for name, (first, last) in split.ranges.items()}
    if isinstance(rows.schema[split.by], pl.Datetime):
        stretches = {name: _moments(*bounds) for name, bounds in split.ranges.items()}
        within = {name: (column >= pl.lit(first)) & (column < pl.lit(end)) for name, (first, end) in stretches.items()}
    return pl.coalesce(pl.when(inside).then(pl.lit(name)) for name, inside in within.items())


def _moments(first: str, last: str) -> tuple[datetime, datetime]:
    """The first moment of a range, and the first one behind it.

    >>> [str(it)[:16] for it in _moments("2013-01", "2013-02-03")]
    ['2013-01-01 00:00', '2013-02-04 00:00']
    """
    try:
        begin, end = (datetime.fromisoformat(text if len(text) > 7 else f"{text}-01") for text in (first, last))
    except ValueError as error:
        raise AuditError(
            f"the split from {first!r} to {last!r} is by a timestamp, but these are not its months, days or moments",
            allowed="2013-09, 2013-09-30 and 2013-09-30T18:00:00+00:00 are",
            remedy=_REMEDY,
        ) from error
    if len(last) <= 7:
        end = (end + timedelta(days=31)).replace(day=1)
    elif len(last) <= 10:
        end += timedelta(days=1)
    else:
        end += timedelta(microseconds=1)
    begin, end = (it if it.tzinfo else it.replace(tzinfo=UTC) for it in (begin, end))
    return begin, end


def _with_gaps(
    rows: pl.DataFrame, split: TimeSplit, event_time: str, starts: Mapping[str, datetime | None]
) -> pl.DataFrame:
    """The rows without those that come too little before the first event of a later split."""
    gap = timedelta(hours=split.gap_hours)
    names = sorted(split.ranges, key=lambda name: split.ranges[name])
    for name, later in pairwise(names):
        start = starts[later]
        if start is not None:
            rows = rows.filter((pl.col("split") != name) | (pl.col(event_time) < pl.lit(start - gap)))
    return rows


def _by_hash(rows: pl.DataFrame, split: HashSplit) -> pl.DataFrame:
    if not math.isclose(math.fsum(split.shares.values()), 1, abs_tol=1e-9):
        raise AuditError(
            f"the shares of the split are {dict(split.shares)}, but together they are not the whole",
            allowed="Shares are above 0 and sum to 1",
            remedy=_REMEDY,
        )
    keys = rows.select(split.of).unique(maintain_order=True)
    named = keys.with_columns(pl.Series("split", [hashed(key, split.shares) for key in keys.iter_rows()], pl.String))
    return rows.join(named, on=list(split.of), how="left", maintain_order="left", nulls_equal=True)


def hashed(key: Sequence[object], shares: Mapping[str, float]) -> str:
    """The split of one value of the columns.

    >>> [hashed([flight], {"train": 0.5, "test": 0.5}) for flight in ("UA1545", "B6725", "DL461")]
    ['test', 'train', 'train']
    """
    text = json.dumps(list(key), ensure_ascii=False, separators=(",", ":"), default=str)
    point = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
    reached = 0.0
    *names, last = shares
    for name in names:
        reached += shares[name]
        if point < reached:
            return name
    return last
