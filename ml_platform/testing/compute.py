"""The contract of a compute service."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.aggregates import compiled
from ml_platform.engine.files import filesystem
from ml_platform.engine.integrity import audit
from ml_platform.engine.maintenance import maintain
from ml_platform.engine.restore import restore
from ml_platform.engine.staging import GRACE_SECONDS, present, stage
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import Location, StagedFiles, TableSnapshot, View
from ml_platform.records.upkeep import Upkeep
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.testing.windowed import ENTITY, alike, every_function, scan, single_rows

DELAYS = pa.table(
    {
        "flight": pa.array([5, 1, 4, 2, 3], pa.int32()),
        "delay": [12.5, None, -3.0, 0.0, 40.0],
        "left": pa.array(
            [datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in (3, 4, 5, 6, 7)], pa.timestamp("us", "UTC")
        ),
        "month": ["2013-01", "2013-02", "2013-01", "2013-02", "2013-01"],
    }
)


def committed(rows: pa.Table, location: Location, partition_by: tuple[str, ...] = ()) -> TableSnapshot:
    """A table that holds the rows, its first version or the next."""
    staged = stage(rows.to_batches(), rows.schema, location, partition_by)
    delta.commit(staged, read=delta.snapshot(location), replaced=(), transactions={}, evidence={})
    return delta.existing(location)


class ComputeContract:
    """What every compute service keeps. Inherit it and supply `compute`, and a `lakehouse` that it can reach."""

    @pytest.fixture
    def compute(self) -> Compute:
        """The service."""
        raise NotImplementedError

    @pytest.fixture
    def lakehouse(self) -> Lakehouse:
        """A lakehouse that holds nothing."""
        raise NotImplementedError

    @pytest.fixture
    def delays(self, lakehouse: Lakehouse) -> TableSnapshot:
        """The table `bronze.delays`."""
        return committed(DELAYS, lakehouse.table("bronze/delays"), ("month",))

    @pytest.fixture
    def target(self, lakehouse: Lakehouse) -> Location:
        """Where queries are staged to."""
        return lakehouse.table("silver/delays")

    def test_fetched_rows_have_the_types_of_the_table(self, compute: Compute, delays: TableSnapshot) -> None:
        rows = compute.fetch("SELECT * FROM bronze.delays ORDER BY flight", {"bronze.delays": delays})
        assert rows.to_pylist() == DELAYS.sort_by("flight").to_pylist()
        assert rows.schema.field("flight").type == pa.int32()
        assert rows.schema.field("left").type == pa.timestamp("us", "UTC")

    def test_a_query_sees_a_view_as_it_sees_files(
        self, compute: Compute, delays: TableSnapshot, target: Location
    ) -> None:
        query = "SELECT flight, month FROM bronze.delays WHERE flight > 1"
        schema = pa.schema([delays.schema.field("flight"), delays.schema.field("month")])
        late = View(target, schema, query, {"bronze.delays": delays}, 5)
        january = delta.restrict(delays, "month", ["2013-01"])
        rows = compute.fetch(
            "SELECT l.flight FROM late.rows AS l JOIN january.rows AS j ON j.flight = l.flight ORDER BY l.flight",
            {"late.rows": late, "january.rows": january},
        )
        assert rows["flight"].to_pylist() == [3, 4, 5]
        staged = compute.stage("SELECT * FROM late.rows", {"late.rows": late}, target, ("month",))
        assert {file.partition["month"]: file.rows for file in staged.files} == {"2013-01": 3, "2013-02": 1}

    def test_a_query_sees_the_pinned_files_and_no_other(
        self, compute: Compute, delays: TableSnapshot, lakehouse: Lakehouse
    ) -> None:
        committed(DELAYS.slice(0, 2), lakehouse.table("bronze/delays"), ("month",))
        february = delta.restrict(delays, "month", ["2013-02"])
        query = "SELECT sum(flight) AS flights FROM bronze.delays"
        assert compute.fetch(query, {"bronze.delays": february}).to_pylist() == [{"flights": 3}]

    def test_rows_that_stood_before_are_taken_off_one_for_one(
        self, compute: Compute, lakehouse: Lakehouse, target: Location
    ) -> None:
        # given rows, of which one comes twice, after rows of which one is gone and one was there once
        rows = {"id": [1, 1, 2, None], "value": [1.5, 1.5, float("nan"), None]}
        came, went = pa.table(rows), pa.table({"id": [1, 3, None], "value": [1.5, 9.0, None]})
        tables = {"replaced.came": ("bronze/came", came), "replaced.went": ("bronze/went", went)}
        relations = {name: committed(those, lakehouse.table(key)) for name, (key, those) in tables.items()}
        query = "SELECT * FROM replaced.came EXCEPT ALL SELECT * FROM replaced.went"
        left = delta.read_rows(compute.stage(query, relations, target, ())).sort_by("id")
        assert left["id"].to_pylist() == [1, 2]
        assert str(left["value"].to_pylist()) == "[1.5, nan]"
        both = "SELECT id, value FROM replaced.came UNION ALL BY NAME SELECT value, id FROM replaced.went"
        assert compute.fetch(f"SELECT count(*) AS rows, sum(id) AS ids FROM ({both}) AS b", relations).to_pylist() == [
            {"rows": 7, "ids": 8}
        ]

    def test_windowed_aggregates_are_what_a_scan_of_the_rows_gives(
        self, compute: Compute, lakehouse: Lakehouse
    ) -> None:
        rows, aggregates = single_rows(60), every_function(6)
        inputs = {"silver.flights": committed(rows, lakehouse.table("silver/flights"))}
        found = compute.fetch(compiled("SELECT * FROM silver.flights", ENTITY, "month", aggregates), inputs).to_pylist()
        for row in found:
            entity = (row["origin"], row["carrier"])
            expected = {name: scan(rows.to_pylist(), entity, row["event_time"], it) for name, it in aggregates.items()}
            assert alike(row, expected), row
        assert len(found) > 80

    def test_staged_rows_are_not_committed(self, compute: Compute, delays: TableSnapshot, target: Location) -> None:
        staged = compute.stage("SELECT * FROM bronze.delays", {"bronze.delays": delays}, target, ("month",))
        assert staged.rows == 5
        assert staged.schema.names == DELAYS.schema.names
        assert {file.partition["month"]: file.rows for file in staged.files} == {"2013-01": 3, "2013-02": 2}
        assert delta.snapshot(target) is None

    def test_the_same_rows_are_the_same_files(self, compute: Compute, delays: TableSnapshot, target: Location) -> None:
        query = "SELECT * FROM bronze.delays ORDER BY flight"
        first, second = (compute.stage(query, {"bronze.delays": delays}, target, ("month",)) for _ in range(2))
        assert first.files == second.files

    def test_rows_keep_the_order_of_the_query(self, compute: Compute, delays: TableSnapshot, target: Location) -> None:
        query = "SELECT i AS number, CAST(i % 2 AS VARCHAR) AS side FROM range(300000) AS t(i) ORDER BY i DESC"
        staged = compute.stage(query, {}, target, ("side",))
        for side in ("0", "1"):
            part = StagedFiles(
                target, staged.schema, ("side",), tuple(f for f in staged.files if f.partition["side"] == side)
            )
            assert delta.read_rows(part, ["number"])["number"].to_pylist() == list(range(299_998 + int(side), -1, -2))

    def test_what_was_staged_can_be_queried(self, compute: Compute, delays: TableSnapshot, target: Location) -> None:
        staged = compute.stage("SELECT * FROM bronze.delays", {"bronze.delays": delays}, target, ("month",))
        found = compute.fetch(
            "SELECT month, count(*) AS n FROM staged.rows GROUP BY 1 ORDER BY 1", {"staged.rows": staged}
        )
        assert found.to_pylist() == [{"month": "2013-01", "n": 3}, {"month": "2013-02", "n": 2}]

    def test_a_table_without_files_has_its_columns(self, compute: Compute, delays: TableSnapshot) -> None:
        nothing = delta.restrict(delays, "month", [])
        rows = compute.fetch("SELECT * FROM bronze.delays WHERE flight > 0 AND month > ''", {"bronze.delays": nothing})
        assert rows.num_rows == 0
        assert rows.schema.names == DELAYS.schema.names

    def test_a_query_without_rows_stages_no_file(
        self, compute: Compute, delays: TableSnapshot, target: Location
    ) -> None:
        staged = compute.stage("SELECT * FROM bronze.delays WHERE false", {"bronze.delays": delays}, target, ("month",))
        assert staged.files == ()
        assert staged.schema.names == DELAYS.schema.names

    def test_a_column_that_came_later_is_null_in_older_files(self, compute: Compute, lakehouse: Lakehouse) -> None:
        location = lakehouse.table("bronze/planes")
        committed(pa.table({"plane": ["a"], "month": ["2013-01"]}), location, ("month",))
        both = committed(pa.table({"plane": ["b"], "seats": [9], "month": ["2013-02"]}), location, ("month",))
        old = delta.restrict(both, "month", ["2013-01"])
        query = "SELECT plane, seats FROM bronze.planes ORDER BY plane"
        assert compute.fetch(query, {"bronze.planes": old}).to_pylist() == [{"plane": "a", "seats": None}]
        assert compute.fetch(query, {"bronze.planes": both})["seats"].to_pylist() == [None, 9]
        assert compute.fetch(query, {"bronze.planes": old}).schema.field("seats").type == pa.int64()

    @pytest.mark.parametrize("value", ["New York/é", "a b%20", "x=y", "it's", "#?*[1]"])
    def test_any_text_can_be_a_partition(self, compute: Compute, lakehouse: Lakehouse, value: str) -> None:
        table = committed(pa.table({"n": [1], "city": [value]}), lakehouse.table("bronze/cities"), ("city",))
        assert compute.fetch("SELECT city FROM bronze.cities", {"bronze.cities": table}).to_pylist() == [
            {"city": value}
        ]

    def test_times_are_utc_and_zones_are_known(self, compute: Compute, delays: TableSnapshot) -> None:
        query = (
            'SELECT CAST("left" AT TIME ZONE \'America/New_York\' AS DATE) AS day FROM bronze.delays ORDER BY "left"'
        )
        days = compute.fetch(query, {"bronze.delays": delays})["day"].to_pylist()
        # 05:00 UTC is midnight in New York.
        assert days == [date(2012, 12, 31)] * 2 + [date(2013, 1, 1)] * 3

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT nothing FROM bronze.delays",
            "SELECT * FROM bronze.flights",
            "SELECT CASE WHEN i < 900000 THEN i ELSE CAST('x' || i AS INTEGER) END AS n FROM range(1000000) AS t(i)",
        ],
        ids=["column", "table", "row"],
    )
    def test_a_query_that_does_not_run_names_its_table_and_leaves_nothing(
        self, compute: Compute, delays: TableSnapshot, target: Location, query: str
    ) -> None:
        with pytest.raises(ServiceError, match="the query of silver/delays does not run"):
            compute.stage(query, {"bronze.delays": delays}, target, ())
        with pytest.raises(ServiceError, match=r"the query of bronze\.delays does not run"):
            compute.fetch(query, {"bronze.delays": delays})
        assert not present(target)

    def test_a_table_is_kept_in_shape_examined_and_put_back_where_it_lies(
        self, compute: Compute, lakehouse: Lakehouse
    ) -> None:
        # given a table in small files, of which old versions are past their retention
        location = lakehouse.table("bronze/kept")
        for number in (3, 1, 2):
            before = committed(pa.table({"id": [number]}), location)
        later = time.time() + 2 * GRACE_SECONDS
        # when it is maintained, its rows are in one file, and the others are gone
        done = maintain(Upkeep(location.key, 0, ("id",)), lakehouse, compute, [], now=later)
        (file,) = delta.existing(location).files
        assert (done.files_before, done.files_after, done.swept.files) == (3, 1, 3)
        assert delta.fingerprint(delta.existing(location)) == delta.fingerprint(before)
        # then a version that is left can be put back, and one that went cannot
        committed(pa.table({"id": [4]}), location)
        restore(location.key, done.version, "4 was wrong", lakehouse)
        assert delta.read_rows(delta.existing(location))["id"].to_pylist() == [1, 2, 3]
        with pytest.raises(NotFoundError, match="maintenance has cleared it away"):
            restore(location.key, 0, "3 was right", lakehouse)
        # and one altered byte is found, and so is a file that is missing
        assert audit(location, ()).findings == ()
        store = filesystem(location)
        with store.open_input_stream(file.path) as stream:
            content = stream.read()
        with store.open_output_stream(file.path) as stream:
            stream.write(content[:-1] + bytes([content[-1] ^ 1]))
        assert [(one.kind, one.path) for one in audit(location, ()).findings] == [("altered", file.path)]
        store.delete_file(file.path)
        assert [(one.kind, one.path) for one in audit(location, ()).findings] == [("missing", file.path)]
