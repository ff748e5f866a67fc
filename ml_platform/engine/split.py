"""The split: which rows a model is fitted on, tuned on and tested on."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ml_platform.errors import AuditError

NAMES = ("train", "validate", "test")


def assign(rows: pl.DataFrame, by: str, ranges: Mapping[str, tuple[str, str]]) -> pl.DataFrame:
    """The rows inside a range, in their order, with a column `split` that names it; rows outside all are left out.

    by: a text column that sorts in time, for instance the month. ranges: split → first and last value, inclusive.
    Raises AuditError where two ranges share a value, since a row cannot be fitted on and tested on.
    """
    ordered = sorted(ranges.items(), key=lambda item: item[1])
    for (name, (first, last)), (other, (next_first, _)) in zip(ordered, [*ordered[1:], ("", ("", ""))], strict=True):
        if last < first or (other and next_first <= last):
            raise AuditError(
                f"the split {name} is {first} to {last}, but it is empty or runs into the split {other or name}",
                allowed="Ranges are inclusive and apart",
                remedy="Mend split in the training set's defs.yaml",
            )
    chosen = pl.coalesce(
        pl.when(pl.col(by).is_between(pl.lit(first), pl.lit(last))).then(pl.lit(name))
        for name, (first, last) in ranges.items()
    )
    return rows.with_columns(chosen.alias("split")).filter(pl.col("split").is_not_null())
