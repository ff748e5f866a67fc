"""The contract of a lakehouse."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem
from ml_platform.engine.staging import discard, present, stage, undone_on_failure
from ml_platform.errors import ConflictError
from ml_platform.records.table import Location, StagedFiles
from ml_platform.roles.lakehouse import Lakehouse


class LakehouseContract:
    """What every lakehouse keeps. Inherit it and supply `lakehouse`."""

    @pytest.fixture
    def lakehouse(self) -> Lakehouse:
        """A lakehouse that holds nothing."""
        raise NotImplementedError

    def test_a_location_is_the_same_whenever_it_is_asked_for(self, lakehouse: Lakehouse) -> None:
        assert lakehouse.table("silver/flights") == lakehouse.table("silver/flights")
        assert lakehouse.files("landing/flights") == lakehouse.files("landing/flights")
        assert lakehouse.table("silver/flights").key == "silver/flights"

    def test_no_two_things_live_in_one_place(self, lakehouse: Lakehouse) -> None:
        keys = ["silver/flights", "silver/flights__quarantine", "gold/flights"]
        places = [f"{find(key).uri}/" for find in (lakehouse.table, lakehouse.files) for key in keys]
        inside = [(one, other) for one in places for other in places if one != other and one.startswith(other)]
        assert len(set(places)) == 6
        assert not inside

    def test_credentials_are_never_printed(self, lakehouse: Lakehouse) -> None:
        location = lakehouse.table("silver/flights")
        assert not [value for value in location.storage_options.values() if value in repr(location)]

    def test_a_table_that_was_never_made_is_not_there(self, lakehouse: Lakehouse) -> None:
        assert delta.snapshot(lakehouse.table("silver/flights")) is None

    def test_a_committed_table_is_read_back_partition_by_partition(self, lakehouse: Lakehouse) -> None:
        location = lakehouse.table("silver/flights")
        rows = pa.table({"flight": [1, 2, 3], "month": ["2013-01", "2013-02", "2013-02"]})
        staged = stage(rows.to_batches(), rows.schema, location, ("month",))
        assert delta.snapshot(location) is None

        delta.commit(staged, read=None, replaced=(), transactions={"made": 7}, evidence={})

        february = delta.restrict(delta.existing(location), "month", ["2013-02"])
        assert delta.read_rows(february).to_pylist() == rows.to_pylist()[1:]
        assert delta.transaction(location, "made") == 7

    def test_files_are_written_moved_listed_and_deleted(self, lakehouse: Lakehouse) -> None:
        files = filesystem(lakehouse.files("landing/flights"))
        files.create_dir("departures", recursive=True)
        with files.open_output_stream("departures/a.writing") as stream:
            stream.write(b"origin\nJFK\n")
        files.move("departures/a.writing", "departures/a.csv")
        with files.open_input_stream("departures/a.csv") as stream:
            assert stream.read() == b"origin\nJFK\n"
        files.delete_file("departures/a.csv")
        with pytest.raises(FileNotFoundError):
            files.open_input_stream("departures/a.csv")

    def test_a_run_that_lost_takes_no_file_from_one_that_made_the_same_rows(self, lakehouse: Lakehouse) -> None:
        # given a run that staged a month, beside which another was committed
        location = lakehouse.table("silver/same")
        delta.commit(_month(location, "01", 0), read=None, replaced=(), transactions={}, evidence={})
        read, stood = delta.existing(location), present(location)
        lost = _month(location, "01", 1)
        delta.commit(_month(location, "02", 5), read=read, replaced=(), transactions={}, evidence={})
        # when a second run stages the same rows before the first has found out
        again, same = delta.existing(location), _month(location, "01", 1)
        assert same.files == lost.files
        with pytest.raises(ConflictError), undone_on_failure(lost, stood):
            delta.commit(lost, read=read, replaced=read.files, transactions={"a": 1}, evidence={})
        # then the second commits what is there, and what either discards is left alone
        old = [file for file in again.files if file.partition["month"] == "01"]
        delta.commit(same, read=again, replaced=old, transactions={"b": 1}, evidence={})
        for staged in (same, lost):
            discard(staged, set())
            assert sorted(delta.read_rows(delta.existing(location))["id"].to_pylist()) == [1, 5]


def _month(location: Location, month: str, value: int) -> StagedFiles:
    table = pa.table({"id": [value], "month": [month]})
    return stage(table.to_batches(), table.schema, location, ("month",))
