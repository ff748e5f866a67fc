from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml_platform.engine import intent, ranges
from ml_platform.engine.files import filesystem
from ml_platform.engine.manifest import Entry
from ml_platform.errors import ConflictError, SourceError
from resources.embedded.lakehouse import EmbeddedLakehouse

KEY = "landing/shop"


def test_ranges_of_a_table_that_follow_each_other_are_apart_and_others_are_refused() -> None:
    apart = [
        "orders/beginning_to_5.parquet",
        "orders/5_to_10.parquet",
        "orders/-7_to_x.parquet",
        "sales/1_to_9.parquet",
    ]
    ranges.require_apart(apart, apart)
    with pytest.raises(SourceError, match=r"orders/9_to_12.parquet has a range that overlaps that of orders/5_to_10"):
        ranges.require_apart(["orders/9_to_12.parquet"], apart)
    with pytest.raises(SourceError, match="overlaps"):
        ranges.require_apart(["orders/beginning_to_6.parquet"], apart)
    # what two that were taken before have in common is nothing that a new one brings
    ranges.require_apart(["orders/12_to_13.parquet"], [*apart, "orders/9_to_12.parquet"])


def test_ranges_of_times_are_apart_by_their_moments() -> None:
    first, then = (
        ranges.path_of("orders", low, high)
        for low, high in ((None, "2024-01-01 00:00:05"), ("2024-01-01 00:00:05", "2024-01-02 00:00:00"))
    )
    ranges.require_apart([first, then], [])
    with pytest.raises(SourceError, match="overlaps"):
        ranges.require_apart([ranges.path_of("orders", "2024-01-01 00:00:04", "2024-01-03 00:00:00")], [first])


def test_how_far_a_table_has_come_is_known_though_its_files_are_removed(lakehouse: EmbeddedLakehouse) -> None:
    files = filesystem(lakehouse.files(KEY))
    assert ranges.ends(KEY, "shop.orders", files, lakehouse) == []
    ranges.remember(KEY, "shop.orders", "5", lakehouse)
    assert ranges.ends(KEY, "shop.orders", files, lakehouse) == ["5"]
    assert ranges.ends(KEY, "orders", files, lakehouse) == []


def test_one_extracts_a_table_at_a_time(lakehouse: EmbeddedLakehouse) -> None:
    with (
        ranges.alone(KEY, "orders", lakehouse),
        ranges.alone(KEY, "sales", lakehouse),
        pytest.raises(ConflictError, match="another run extracts it"),
        ranges.alone(KEY, "orders", lakehouse),
    ):
        pass
    with ranges.alone(KEY, "orders", lakehouse):
        pass


def test_a_plan_takes_no_lock(lakehouse: EmbeddedLakehouse) -> None:
    with intent.planning(), ranges.alone(KEY, "orders", lakehouse):
        pass
    assert not Path(lakehouse.files("platform").uri).exists()


def test_only_where_rows_are_extracted_are_names_ranges(lakehouse: EmbeddedLakehouse) -> None:
    entry = Entry("orders/beginning_to_5.parquet", "digest", 1, "", 1, 1, datetime.now(UTC))
    offered = ["orders/beginning_to_6.parquet"]
    ranges.require_once(KEY, offered, [entry], lakehouse)
    ranges.remember(KEY, "orders", "6", lakehouse)
    ranges.require_once(KEY, offered, [replace(entry, sequence=None)], lakehouse)
    with pytest.raises(SourceError, match="overlaps"):
        ranges.require_once(KEY, offered, [entry], lakehouse)
