from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from ml_platform import upkeep
from ml_platform.engine import delta, maintenance
from ml_platform.engine.staging import stage
from ml_platform.records.table import DataFile
from ml_platform.records.upkeep import Maintained, Swept
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, orders

TABLES = "group:bronze or group:silver or group:gold or group:features or group:training_sets"


def run(project: Project, job: str, *keys: str) -> dg.ExecuteInProcessResult:
    op = {"maintenance": "maintain", "audit": "examine"}[job]
    return project.definitions.resolve_job_def(job).execute_in_process(
        run_config={"ops": {op: {"config": {"keys": list(keys)}}}}, instance=project.instance, raise_on_error=False
    )


def events(project: Project, result: dg.ExecuteInProcessResult, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    """What the UI shows of a run, a failed one too."""
    entries = project.instance.all_logs(result.run_id, of_type=kind)
    return [entry.dagster_event for entry in entries if entry.dagster_event is not None]


def observed(project: Project, result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    found = events(project, result, dg.DagsterEventType.ASSET_OBSERVATION)
    seen = [event.asset_observation_data.asset_observation for event in found]
    return {one.asset_key.to_user_string(): {name: it.value for name, it in one.metadata.items()} for one in seen}


def checked(project: Project, result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    found = events(project, result, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    seen = [event.asset_check_evaluation_data for event in found]
    return {one.asset_key.to_user_string(): one.passed for one in seen}


def files(project: Project, key: str) -> list[DataFile]:
    return list(delta.existing(project.lakehouse.table(key)).files)


def in_order(project: Project) -> list[dict[str, Any]]:
    """The orders by their names: which of a table's files is read first says nothing."""
    return sorted(project.rows("silver/orders"), key=lambda row: row["order_id"])


def test_maintenance_makes_nothing_stale(shop: Project) -> None:
    # given tables, two of which came in several files
    shop.run(TABLES, EVERYTHING)
    shop.land(LANDING, "orders/late.csv", orders("2024-02", count=5, first=80))
    assert shop.run(TABLES, EVERYTHING).success
    before = {key: delta.fingerprint(delta.existing(shop.lakehouse.table(key))) for key in ("bronze/orders",)}
    rows = in_order(shop)
    # when all of them are maintained
    result = run(shop, "maintenance")
    assert result.success
    said = observed(shop, result)
    assert (said["bronze/orders"]["files_before"], said["bronze/orders"]["files_after"]) == (7, 5)
    assert {key: delta.fingerprint(delta.existing(shop.lakehouse.table(key))) for key in before} == before
    # then everything is unchanged
    again = shop.run(TABLES, EVERYTHING)
    assert again.success, again.failures
    outcomes = {key: made["outcome"] for key, made in again.said.items()}
    assert set(outcomes.values()) == {"unchanged"}, outcomes
    assert in_order(shop) == rows


def test_every_declared_table_is_maintained_with_what_it_declares(
    tables: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.change(
        "bronze/stores/defs.yaml", "files: stores", "retention_days: 3\n  cluster_by: [store]\n  files: stores"
    )
    specs = {
        spec.key.to_user_string(): spec.metadata.get("upkeep") for spec in tables.definitions.resolve_all_asset_specs()
    }
    assert specs["bronze/stores"] == {"retention_days": 3, "cluster_by": ["store"]}
    assert specs["silver/orders"] == {"retention_days": 30, "cluster_by": ["order_id"]}
    assert specs["models/returns"] is None
    said = observed(tables, run(tables, "maintenance"))
    assert set(said) == {key for key, declared in specs.items() if declared}
    assert said["gold/totals"]["outcome"] == "not made yet"


def test_who_reads_a_table_is_known_and_what_is_kept_for_whom_is_said(tables: Project) -> None:
    readers = upkeep._readers(list(tables.definitions.resolve_all_asset_specs()))
    assert "silver/orders" in readers["bronze/orders"]
    assert "bronze/orders" not in readers.get("silver/orders", [])
    swept = Swept(0, 0, 0, {1: ("late version 1",)}, 1, {2: ("silver/log",)})
    said = upkeep.of_maintenance([Maintained("bronze/orders", 9, 1, 1, 5, 5, (), (), False, swept, 0.1)])
    assert said["kept_for_readers"] == ["from version 2 (silver/log)"]
    assert said["outcome"] == (
        "1 files, kept for models: version 1 (late version 1), "
        "kept for tables that have yet to read it: from version 2 (silver/log)"
    )


def test_a_table_that_cannot_be_maintained_holds_up_no_other(tables: Project) -> None:
    log = Path(tables.lakehouse.table("bronze/stores").uri) / "_delta_log" / f"{0:020}.json"
    whole = log.read_text()
    log.write_text("{")
    try:
        result = run(tables, "maintenance", "bronze/stores", "bronze/orders")
    finally:
        log.write_text(whole)
    assert not result.success
    said = observed(tables, result)
    assert str(said["bronze/stores"]["outcome"]).startswith("FAILED: the log of the table bronze/stores")
    assert "files_after" in said["bronze/orders"]


def test_jobs_are_scheduled(tables: Project) -> None:
    repository = tables.definitions.get_repository_def()
    scheduled = {one.name: (one.job_name, one.cron_schedule) for one in repository.schedule_defs}
    assert scheduled["maintenance"] == ("maintenance", "0 3 * * *")
    assert scheduled["audit"] == ("audit", "0 4 * * 0")


def test_an_intact_table_passes_its_check(tables: Project) -> None:
    result = run(tables, "audit", "bronze/orders", "silver/orders")
    assert result.success
    assert checked(tables, result) == {"bronze/orders": True, "silver/orders": True}


def test_a_table_that_the_store_does_not_give_is_a_finding_and_holds_up_no_other(tables: Project) -> None:
    log = Path(tables.lakehouse.table("bronze/stores").uri) / "_delta_log"
    entry, kept = log / f"{0:020}.json", log.parent.with_name("kept.json")
    entry.rename(kept)
    entry.mkdir()
    try:
        result = run(tables, "audit", "bronze/stores", "bronze/orders")
    finally:
        entry.rmdir()
        kept.rename(entry)
    assert checked(tables, result) == {"bronze/stores": False, "bronze/orders": True}
    (failure,) = (event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure)
    (finding,) = failure.metadata["findings"].value
    assert "the log of the table bronze/stores cannot be read" in finding


def test_damage_is_followed_to_the_model_and_the_endpoint(made: shops.Made) -> None:
    # given a model that serves, and one altered byte in a table that it was made of
    project = made.project
    (file,) = (one for one in files(project, "silver/orders") if one.partition["month"] == "2024-02")
    path = Path(project.lakehouse.table("silver/orders").uri) / file.path
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    # when all is audited
    try:
        result = run(project, "audit")
    finally:
        path.write_bytes(whole)
    # then the run failed, and says which versions, models and endpoints are touched
    assert not result.success
    assert checked(project, result)["silver/orders"] is False
    assert checked(project, result)["bronze/orders"] is True
    (failure,) = (event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure)
    said = {name: value.value for name, value in failure.metadata.items()}
    assert said["findings"] == [f"silver/orders: {file.path} does not hold what was written (versions 0)."]
    assert {"training_sets/returns 0", "predictions/returns 0"} <= set(said["versions"])
    of = ("features/order_v1", "features/store_recent_v1", "silver/orders", "training_sets/returns")
    assert said["models"] == [f"returns version 1 ({', '.join(f'{key} version 0' for key in of)})"]
    assert said["endpoints"] == ["returns"]


def test_what_a_model_pins_is_kept_by_the_job(made: shops.Made, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a training set that moved on from what the model learned from
    project, location = made.project, made.project.lakehouse.table("training_sets/returns")
    before = delta.existing(location)
    rows = delta.read_rows(before).slice(1)
    staged = stage(rows.to_batches(), rows.schema, location)
    delta.commit(staged, read=before, replaced=before.files, transactions={}, evidence={})
    # when it is maintained long after
    later = SimpleNamespace(time=lambda: time.time() + 90 * 24 * 3600, monotonic=time.monotonic)
    monkeypatch.setattr(maintenance, "time", later)
    said = observed(project, run(project, "maintenance", "training_sets/returns"))["training_sets/returns"]
    # then it stays, and the UI says for whom
    assert said["kept_for_models"] == ["version 0 (returns version 1)"]
    assert said["files_removed"] == 0
    pinned = delta.snapshot(location, 0)
    assert pinned is not None
    assert len(delta.read_rows(pinned)) == len(rows) + 1
