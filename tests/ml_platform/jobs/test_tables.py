from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Field, Schema, write_deltalake

from ml_platform.errors import DeclarationError, PlatformError
from ml_platform.jobs.tables import as_columns, parquet_files, pinned_table, require_columns, row_filter


def test_pinned_version_is_read_though_newer_ones_stand(tmp_path):
    write_deltalake(tmp_path, pa.table({"a": [1]}))
    write_deltalake(tmp_path, pa.table({"a": [2]}), mode="append")
    assert pinned_table(str(tmp_path), 0).to_table().to_pydict() == {"a": [1]}


def test_absent_table_or_version_is_an_error(tmp_path):
    with pytest.raises(PlatformError, match="is pinned at version 0, but cannot be opened"):
        pinned_table(str(tmp_path / "nothing"), 0)
    write_deltalake(tmp_path, pa.table({"a": [1]}))
    with pytest.raises(PlatformError, match="is pinned at version 7, but cannot be opened"):
        pinned_table(str(tmp_path), 7)


def test_a_table_whose_columns_are_mapped_is_refused_and_not_read_as_null(tmp_path):
    schema = Schema([Field("a", "long")])
    DeltaTable.create(tmp_path, schema, configuration={"delta.columnMapping.mode": "name"})
    write_deltalake(tmp_path, pa.table({"a": [1]}), mode="append")
    with pytest.raises(PlatformError, match="at version 1 uses columnMapping, but reading its files would misread it"):
        pinned_table(str(tmp_path), 1)


def test_credentials_come_from_the_environment_and_are_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PLATFORM_STORAGE_OPTIONS", '{"aws_secret_access_key": "canary"}')
    with pytest.raises(PlatformError) as refused:
        pinned_table(str(tmp_path / "nothing"), 0)
    assert "canary" not in str(refused.value)


def test_options_reach_the_store_and_the_environment_wins(tmp_path, monkeypatch):
    where = {"aws_endpoint_url": "http://127.0.0.1:9", "aws_allow_http": "true", "aws_region": "nowhere"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("ML_PLATFORM_STORAGE_OPTIONS", '{"aws_endpoint_url": "http://127.0.0.1:11", "max_retries": "0"}')
    with pytest.raises(PlatformError, match=r"127\.0\.0\.1:11"):
        pinned_table("s3://bucket/table", 0, where)


def test_files_are_read_in_the_order_of_their_names(tmp_path):
    for number in (2, 0, 1):
        pq.write_table(pa.table({"a": [number]}), tmp_path / f"{number}.parquet")
    assert parquet_files(tmp_path).to_table().to_pydict() == {"a": [0, 1, 2]}
    with pytest.raises(PlatformError, match="holds no Parquet file"):
        parquet_files(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ([], [0, 1, 2, 3]),
        ([["month", "=", "2013-12"]], [2, 3]),
        ([["month", "in", ["2013-11"]], ["at", ">=", "2013-11-02T00:00:00+00:00"]], [1]),
        ([["id", "!=", 0], ["id", "<", 3]], [1, 2]),
    ],
)
def test_filters_keep_the_rows_that_meet_all_of_them(tmp_path, where, rows):
    at = [datetime(2013, month, day, tzinfo=UTC) for month in (11, 12) for day in (1, 2)]
    table = pa.table({"id": range(4), "at": at, "month": [f"2013-{time.month}" for time in at]})
    write_deltalake(tmp_path, table, partition_by=["month"])
    dataset = pinned_table(str(tmp_path), 0)
    found = dataset.to_table(columns=["id"], filter=row_filter(dataset, where)).column("id").to_pylist()
    assert sorted(found) == rows


def test_filter_that_means_nothing_is_refused(tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "0.parquet")
    dataset = parquet_files(tmp_path)
    with pytest.raises(DeclarationError, match="filter operator is ~"):
        row_filter(dataset, [["id", "~", 1]])
    with pytest.raises(DeclarationError, match="filter value is 'one', but column id is of type int64"):
        row_filter(dataset, [["id", "=", "one"]])
    with pytest.raises(PlatformError, match="column ids is missing from the rows"):
        row_filter(dataset, [["ids", "=", 1]])
    with pytest.raises(PlatformError, match=r"column ids is missing from here, but the job needs it\. Did you mean id"):
        require_columns(dataset, ["id", "ids"], "here")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 2]),
        pa.array([1.0, None, 2.0], pa.float32()),
        pa.array([Decimal("1"), None, Decimal("2")], pa.decimal128(5, 2)),
    ],
)
def test_numbers_become_floats_with_nan_where_missing(column):
    values = as_columns(pa.table({"a": column}), {"a": "number"})["a"]
    assert values.dtype == np.float64
    assert np.array_equal(values, [1, np.nan, 2], equal_nan=True)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array(["x", None]), ["x", None]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array([5, None]), ["5", None]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_categories_become_text_with_none_where_missing(column, values):
    assert as_columns(pa.record_batch({"a": column}), {"a": "category"})["a"].tolist() == values


def test_booleans_are_numbers():
    assert as_columns(pa.table({"a": [True, False]}), {"a": "number"})["a"].tolist() == [1.0, 0.0]


def test_column_that_its_feature_cannot_be_made_of_is_an_error():
    with pytest.raises(PlatformError, match="column a is of type string, but is declared as a number"):
        as_columns(pa.table({"a": ["1"]}), {"a": "number"})
    with pytest.raises(PlatformError, match="column a is of type double, but is declared as a category"):
        as_columns(pa.table({"a": [1.5]}), {"a": "category"})
