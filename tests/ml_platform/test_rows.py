from __future__ import annotations

import polars as pl
import pyarrow as pa

from ml_platform.rows import Rows

TABLE = pa.table({"n": [1, 2, None], "name": ["a", "b", None]})


def test_rows_are_the_same_in_every_library() -> None:
    rows = Rows("things", {}, lambda: TABLE)

    assert rows.to_arrow() == TABLE
    assert rows.to_polars().to_dicts() == TABLE.to_pylist()
    assert rows.to_pandas()["name"].tolist() == ["a", "b", None]
    assert pl.DataFrame(rows).to_dicts() == TABLE.to_pylist()


def test_rows_are_read_once_and_not_before_they_are_asked_for() -> None:
    read: list[str] = []

    def reading() -> pa.Table:
        read.append("read")
        return TABLE

    rows = Rows("silver/things", {"silver/things": 3}, reading)

    assert repr(rows) == "silver/things (silver/things version 3)"
    assert not read
    rows.to_arrow()
    rows.to_polars()
    assert read == ["read"]
