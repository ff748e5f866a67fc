from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.automation import following
from ml_platform.engine import clock
from ml_platform.errors import PlatformError
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, MONTHS, orders

TABLES = "group:bronze or group:silver or group:gold or group:features or group:training_sets"


class Graph:
    """Four assets that do nothing: `parent` by month, `child` as given, their automation looked at tick by tick."""

    def __init__(self, mapping: dg.TimeWindowPartitionMapping | None = None, *, partitioned: bool = True) -> None:
        months = dg.MonthlyPartitionsDefinition("2024-01", end_date="2024-05", fmt="%Y-%m")

        @dg.asset(partitions_def=months)
        def parent() -> None: ...

        @dg.asset
        def register() -> None: ...

        @dg.asset(
            deps=[dg.AssetDep(parent, partition_mapping=mapping), register],
            partitions_def=months if partitioned else None,
            automation_condition=following(),
        )
        def child() -> None: ...

        self._defs = dg.Definitions([parent, register, child])
        self._instance = dg.DagsterInstance.ephemeral()
        self._cursor: object = None
        self.tick()

    def close(self) -> None:
        self._instance.dispose()

    def update(self, key: str, *partitions: str | None) -> Graph:
        for partition in partitions or [None]:
            self._instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))
        return self

    def tick(self) -> set[str | None]:
        """The partitions of the child that are requested now; they are taken to have been made."""
        result = dg.evaluate_automation_conditions(self._defs, instance=self._instance, cursor=self._cursor)
        self._cursor = result.cursor
        requested = set(result.get_requested_partitions(dg.AssetKey("child")))
        if requested:
            self.update("child", *requested)
        return requested


@pytest.fixture
def by_month() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def unpartitioned() -> Iterator[Graph]:
    graph = Graph(partitioned=False)
    yield graph
    graph.close()


def test_back_dated_partition_requests_that_partition_of_the_child_only(by_month: Graph) -> None:
    by_month.update("register").update("parent", *MONTHS)
    assert by_month.tick() == set(MONTHS)
    by_month.update("parent", "2024-02")
    assert by_month.tick() == {"2024-02"}


def test_back_dated_partition_requests_its_neighbours_through_a_window() -> None:
    graph = Graph(
        dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True)
    )
    try:
        graph.update("register").update("parent", *MONTHS)
        assert graph.tick() == set(MONTHS)
        graph.update("parent", "2024-02")
        assert graph.tick() == {"2024-01", "2024-02", "2024-03"}
    finally:
        graph.close()


def test_unpartitioned_child_is_requested_month_after_month(unpartitioned: Graph) -> None:
    unpartitioned.update("register")
    for month in MONTHS[:3]:
        unpartitioned.update("parent", month)
        assert unpartitioned.tick() == {None}
        assert unpartitioned.tick() == set()


@pytest.mark.parametrize("first", ["parent", "register"])
def test_nothing_is_requested_before_every_dependency_has_something(by_month: Graph, first: str) -> None:
    updates = {"parent": ("2024-01",), "register": ()}
    by_month.update(first, *updates.pop(first))
    assert by_month.tick() == set()
    for key, partitions in updates.items():
        by_month.update(key, *partitions)
    assert by_month.tick() == {"2024-01"}


def test_update_in_the_tick_after_a_request_is_requested_too(by_month: Graph) -> None:
    by_month.update("register").update("parent", "2024-02")
    assert by_month.tick() == {"2024-02"}
    assert by_month.tick() == set()
    by_month.update("parent", "2024-02", "2024-03")
    assert by_month.tick() == {"2024-02", "2024-03"}
    assert by_month.tick() == set()


def test_nothing_is_requested_while_nothing_changes(by_month: Graph) -> None:
    by_month.update("register").update("parent", *MONTHS)
    by_month.tick()
    assert [by_month.tick() for _ in range(3)] == [set(), set(), set()]


def test_update_that_comes_while_the_child_is_being_made_is_not_forgotten(by_month: Graph) -> None:
    by_month.update("register").update("parent", "2024-02")
    assert by_month.tick() == {"2024-02"}
    by_month.update("parent", "2024-02").update("child", "2024-02")
    assert by_month.tick() == {"2024-02"}
    assert by_month.tick() == set()


def job(project: Project, name: str) -> dg.JobDefinition:
    return project.definitions.get_repository_def().get_job(name)


def made_by(project: Project, name: str) -> set[str]:
    return {key.to_user_string() for key in job(project, name).asset_layer.executable_asset_keys}


def look(project: Project, cursor: str | None = None) -> dg.SensorResult | object:
    """What the sensor on the landing folder says now."""
    repository = project.definitions.get_repository_def()
    with dg.build_sensor_context(project.instance, cursor, repository_def=repository) as context:
        return repository.get_sensor_def("landed_files").evaluate_tick(context)


def asked(tick: object) -> dict[str | None, set[str]]:
    """Partition → assets that a sensor asks for."""
    return {
        request.partition_key: {key.to_user_string() for key in request.asset_selection}
        for request in tick.run_requests
    }


def serve(project: Project, tick: object) -> list[dg.ExecuteInProcessResult]:
    """Every run that the sensor asks for, executed as its job would."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return [
        job(project, "ingest").execute_in_process(
            instance=project.instance,
            asset_selection=request.asset_selection,
            partition_key=request.partition_key,
            run_config=quiet,
            raise_on_error=False,
        )
        for request in tick.run_requests
    ]


def test_jobs_make_everything_all_but_landing_and_bronze(shop: Project) -> None:
    every = {str(Path(path).parent) for path in shops.FILES if path.endswith("defs.yaml")}
    every |= {"models/returns__champion", "endpoints/returns__log"}
    assert made_by(shop, "everything") == every
    assert made_by(shop, "refresh") == every
    assert made_by(shop, "ingest") == {"bronze/orders", "bronze/stores"}


def test_refresh_leaves_the_landing_asset_out(shop: Project) -> None:
    shop.write(
        "landing/shop/shop.py", 'import dagster as dg\n\n\n@dg.asset(key=["landing", "shop"])\ndef shop(): ...\n'
    )
    assert "landing/shop" in made_by(shop, "everything")
    assert "landing/shop" not in made_by(shop, "refresh")


def daily(project: Project) -> object:
    repository = project.definitions.get_repository_def()
    moment = datetime(2026, 1, 1, 5, tzinfo=UTC)
    with dg.build_schedule_context(project.instance, moment, repository_def=repository) as context:
        return repository.get_schedule_def("daily").evaluate_tick(context)


def test_daily_asks_for_the_month_of_the_platforms_clock(tables: Project) -> None:
    # the shop's clock stands at the end of April 2024, whatever the schedule's own moment is
    (request,) = daily(tables).run_requests
    assert request.partition_key == "2024-04"
    assert tables.definitions.get_repository_def().get_schedule_def("daily").job_name == "refresh"


def test_daily_reaches_back_to_the_earliest_month_that_waits(shop: Project) -> None:
    shop.run("group:bronze", EVERYTHING)
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1, first=70))
    (request,) = daily(shop).run_requests
    assert request.partition_key is None
    assert request.tags["dagster/asset_partition_range_start"] == "2024-02"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-04"


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2024-03-01T04:59:00+00:00", "2024-02"),
        ("2024-03-01T05:00:00+00:00", "2024-03"),
        ("2025-06-01T00:00:00+00:00", "2024-04"),
        ("2020-06-01T00:00:00+00:00", "2024-01"),
    ],
)
def test_daily_counts_in_the_domains_zone_and_stays_among_its_partitions(
    tables: Project, monkeypatch: pytest.MonkeyPatch, now: str, month: str
) -> None:
    tables.change("domain.yaml", "timezone: UTC", "timezone: America/New_York")
    monkeypatch.setenv("ML_PLATFORM_NOW", now)
    schedule = tables.definitions.get_repository_def().get_schedule_def("daily")
    assert schedule.execution_timezone == "America/New_York"
    assert [request.partition_key for request in daily(tables).run_requests] == [month]


def test_daily_skips_while_the_clock_is_not_set(tmp_path: Path) -> None:
    tick = daily(Project(tmp_path, shops.FILES))
    assert not tick.run_requests
    assert "the replay clock is not set" in tick.skip_message


def test_definitions_without_sources_have_nothing_to_schedule(tmp_path: Path) -> None:
    files = {"domain.yaml": shops.FILES["domain.yaml"], "gold/one/one.sql": "SELECT 1 AS one\n"}
    project = Project(tmp_path, {**files, "gold/one/defs.yaml": shops.declaration("Table", "description: One.")})
    assert made_by(project, "everything") == {"gold/one"}
    assert project.run("*").success


def test_sensor_asks_for_each_partition_that_a_new_file_brings(shop: Project) -> None:
    tick = look(shop)
    assert asked(tick) == {None: {"bronze/stores"}, **{month: {"bronze/orders"} for month in MONTHS}}
    assert all(result.success for result in serve(shop, tick))
    assert len(shop.rows("bronze/stores")) == 3
    assert len(shop.rows("bronze/orders")) == 240


def test_sensor_asks_once(shop: Project) -> None:
    cursor = look(shop).cursor
    tick = look(shop, cursor)
    assert not tick.run_requests
    assert tick.skip_message == "nothing has landed since the last look"


def test_sensor_asks_for_nothing_that_was_ingested(shop: Project) -> None:
    shop.run("group:bronze", EVERYTHING)
    assert asked(look(shop)) == {}


def test_back_dated_file_asks_for_the_old_month_of_its_source_only(shop: Project) -> None:
    shop.run("group:bronze", EVERYTHING)
    cursor = look(shop).cursor
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1, first=70))
    assert asked(look(shop, cursor)) == {"2024-02": {"bronze/orders"}}


def test_unreadable_file_is_asked_for_so_that_the_run_says_what_is_wrong(shop: Project) -> None:
    shop.run("group:bronze", EVERYTHING)
    shop.land(LANDING, "orders/broken.csv", orders("2024-02")[:-20])
    tick = look(shop)
    assert asked(tick) == {"2024-04": {"bronze/orders"}}
    (result,) = serve(shop, tick)
    assert not result.success
    assert "orders/broken.csv is cut off" in str(result.all_node_events[-1].event_specific_data)


def test_source_that_cannot_be_looked_at_holds_up_no_other_and_is_told_then(shop: Project) -> None:
    shop.run("group:bronze", EVERYTHING)
    cursor = look(shop).cursor
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1, first=70))
    (log,) = (Path(shop.lakehouse.table("bronze/stores").uri) / "_delta_log").glob("0*0.json")
    whole = log.read_text()
    log.write_text(whole[: len(whole) // 2])
    tick = look(shop, cursor)
    assert asked(tick) == {"2024-02": {"bronze/orders"}}
    # the same files are looked at again, for which dagster makes no second run of what it has a run of
    (request,) = tick.run_requests
    (again,) = look(shop, tick.cursor or cursor).run_requests
    assert request.run_key == again.run_key
    shop.instance.create_run_for_job(job(shop, "ingest"), tags={"dagster/run_key": request.run_key})
    with pytest.raises(PlatformError):
        look(shop, cursor)
    log.write_text(whole)
    assert asked(look(shop, cursor)) == {"2024-02": {"bronze/orders"}}


def follow(project: Project, cursor: object) -> tuple[object, dict[str, set[str | None]]]:
    """The cursor when nothing is requested any more, and what was requested and made until then."""
    requested: dict[str, set[str | None]] = {}
    for _ in range(10):
        tick = dg.evaluate_automation_conditions(project.definitions, instance=project.instance, cursor=cursor)
        cursor = tick.cursor
        if not tick.total_requested:
            return cursor, requested
        todo: dict[str | None, set[dg.AssetKey]] = {}
        for key in project.definitions.resolve_asset_graph().materializable_asset_keys:
            for partition in tick.get_requested_partitions(key):
                requested.setdefault(key.to_user_string(), set()).add(partition)
                todo.setdefault(partition, set()).add(key)
        for partition, keys in sorted(todo.items(), key=lambda item: (item[0] is None, item[0] or "")):
            ran = project.materialize(keys, partition or "")
            assert ran.success, ran.failures
    raise AssertionError("it never comes to rest")


def touched(project: Project, key: str, after: int) -> set[str]:
    """The partitions whose files a table's log added or removed after a version."""
    log = Path(project.lakehouse.table(key).uri) / "_delta_log"
    actions = [
        json.loads(line)
        for file in sorted(log.glob("*.json"))
        if int(file.stem) > after
        for line in file.read_text().splitlines()
    ]
    changed = [action.get("add") or action.get("remove") for action in actions]
    return {change["partitionValues"]["month"] for change in changed if change}


def test_back_dated_file_reaches_every_table_and_touches_no_other_partition(tmp_path: Path) -> None:
    # given the shop's tables, made once
    shop = shops.project(tmp_path)
    assert shop.run(TABLES, EVERYTHING).success
    cursor, _ = follow(shop, None)
    seen = look(shop).cursor
    tables = ("bronze/orders", "silver/orders", "gold/store_month", "features/order_v1", "features/store_recent_v1")
    before = {key: shop.version(key) for key in tables}
    # when a file with one order of February lands
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1, first=70))
    tick = look(shop, seen)
    assert all(result.success for result in serve(shop, tick))
    cursor, requested = follow(shop, cursor)
    # then everything below it was asked for, for February, and for March where a window reaches back
    assert requested == {
        "silver/orders": {"2024-02"},
        "gold/store_month": {"2024-02"},
        "gold/totals": {None},
        "features/order_v1": {"2024-02"},
        "features/store_recent_v1": {"2024-02", "2024-03"},
        "training_sets/returns": {None},
    }
    for key in ("silver/orders", "features/order_v1", "training_sets/returns"):
        assert [row for row in shop.rows(key) if row["order_id"] == "2024-02-070"]
    assert shop.rows("gold/totals")[0]["orders"] == 241
    assert sum(row["orders"] for row in shop.rows("gold/store_month") if row["month"] == "2024-02") == 61
    # and no other partition was written to
    for key in tables[:-1]:
        assert touched(shop, key, before[key]) == {"2024-02"}
    assert touched(shop, tables[-1], before[tables[-1]]) <= {"2024-02", "2024-03"}
    # and a second look asks for nothing
    assert asked(look(shop, tick.cursor)) == {}
    assert follow(shop, cursor)[1] == {}


def test_clock_of_the_shop_is_its_own(shop: Project) -> None:
    assert clock.now(shop.lakehouse, "replay") == datetime(2024, 4, 30, tzinfo=UTC)
