from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, Schema, write_deltalake

from ml_platform.engine.readable import require_readable
from ml_platform.errors import ServiceError


def test_a_plain_table_is_readable(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"n": [1]}))
    require_readable(DeltaTable(tmp_path), "silver/flights")


def test_reader_version_2_without_a_mapping_is_readable(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"n": [1]}))
    log = tmp_path / "_delta_log" / f"{1:020}.json"
    log.write_text(json.dumps({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}))
    require_readable(DeltaTable(tmp_path), "silver/flights")


@pytest.mark.parametrize(
    ("setting", "feature"), [("columnMapping.mode", "columnMapping"), ("enableDeletionVectors", "deletionVectors")]
)
def test_what_hides_rows_is_named(tmp_path: Path, setting: str, feature: str) -> None:
    value = "name" if feature == "columnMapping" else "true"
    DeltaTable.create(tmp_path, Schema([Field("n", "long")]), configuration={f"delta.{setting}": value})
    with pytest.raises(ServiceError, match=f"the table silver/flights uses {feature}.*, but reading its files") as told:
        require_readable(DeltaTable(tmp_path), "silver/flights")
    assert "known to change no row are timestampNtz, vacuumProtocolCheck" in str(told.value)
