from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ml_platform.engine.parquet_writer import repeating, writer

ROWS = pa.table(
    {
        "id": range(1_000),
        "city": ["Bern", None] * 500,
        "price": pa.array([Decimal(n) / 100 for n in range(1_000)], pa.decimal128(15, 2)),
        "wide": pa.array([Decimal(7)] * 1_000, pa.decimal128(38, 0)),
        "tags": [["a", "b"]] * 1_000,
        "whole": [float("nan"), 1.0] * 500,
    }
)


def written(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with writer(sink, rows) as parquet:
        parquet.write_table(rows)
    return sink.getvalue()


def test_only_values_that_repeat_have_a_dictionary() -> None:
    group = pq.ParquetFile(pa.BufferReader(written(ROWS))).metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    kept = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert kept == {"city", "wide", "whole"}


def test_rows_come_back_to_the_last_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(written(ROWS))
    read = pq.read_table(path)
    assert read.schema == ROWS.schema
    assert read.drop_columns("whole").equals(ROWS.drop_columns("whole"))
    assert duckdb.sql(f"SELECT sum(price), sum(wide), count(city) FROM '{path}'").fetchall() == [
        (Decimal("4995.00"), Decimal(7_000), 500)
    ]


def test_a_column_of_no_rows_is_one_whose_values_repeat() -> None:
    assert repeating(ROWS.schema.empty_table()) == ["id", "city", "price", "wide", "whole"]


def test_what_comes_after_the_first_rows_counts_too() -> None:
    rows = pa.table(
        {
            "late": [0] * 5_000 + list(range(15_000)),
            "early": [*range(4_001), *[0] * 15_999],
            "often": [n % 4_000 for n in range(20_000)],
            "seldom": [n % 4_001 for n in range(20_000)],
        }
    )
    assert repeating(rows) == ["often"]
