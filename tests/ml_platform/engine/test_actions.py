from __future__ import annotations

import json

from ml_platform.engine.actions import Change, adding, properties, removing, sealed
from ml_platform.engine.seals import SEAL, Doing, matches, told
from ml_platform.records.table import DataFile

COMES = DataFile("a.parquet", 7, 2, {"month": "2024-01"}, '{"numRecords": 2}')
GOES = DataFile("b.parquet", 8, 3, {"month": "2024-01"})
CHANGE = Change([COMES], [GOES], {"x": 3}, {"read": {"silver/a": 7}}, data_change=False)


def test_a_commit_says_what_comes_and_what_goes() -> None:
    (add,), (remove,) = adding(CHANGE), removing(CHANGE)
    assert (add.path, add.size, add.partition_values, add.stats) == (
        COMES.path,
        COMES.size_bytes,
        COMES.partition,
        COMES.statistics,
    )
    assert (remove.path, remove.size, remove.partition_values) == (GOES.path, GOES.size_bytes, GOES.partition)
    assert not add.data_change
    assert not remove.data_change


def test_its_seal_and_its_evidence_go_with_it_as_json() -> None:
    kept = properties(CHANGE, sealed(CHANGE, "columns"))
    said = {name: json.loads(value) for name, value in (kept.custom_metadata or {}).items()}
    doing = Doing({"a.parquet": told(7, {"month": "2024-01"}, '{"numRecords": 2}')}, ["b.parquet"], {"x": 3}, "columns")
    assert said["read"] == {"silver/a": 7}
    assert matches(said[SEAL], doing)
    assert [(it.app_id, it.version) for it in kept.app_transactions or ()] == [("x", 3)]
    assert kept.max_commit_retries == 0


def test_what_deltalake_decides_is_not_sealed() -> None:
    assert set(properties(CHANGE, {}).custom_metadata or {}) == {"read"}
