from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ml_platform.engine import delta, quarantine
from ml_platform.engine.quarantine import Quarantine, told
from ml_platform.engine.staging import present, stage
from ml_platform.errors import ConflictError, NotFoundError
from ml_platform.records.table import StagedFiles
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


def refused(lakehouse: EmbeddedLakehouse, *rows: tuple[str, str]) -> StagedFiles:
    """Staged rows of rule and month."""
    at = datetime(2013, 1, 1, tzinfo=UTC)
    given = [
        {"rule": rule, "reason": f"{rule}: bad", "row": "{}", "quarantined_at": at, "month": m} for rule, m in rows
    ]
    table = pa.Table.from_pylist(given, quarantine.schema("month"))
    return stage(table.to_batches(), table.schema, lakehouse.table("silver/x__quarantine"), ("month",))


def rules_in(lakehouse: EmbeddedLakehouse) -> list[Any]:
    return sorted(delta.read_rows(delta.existing(lakehouse.table("silver/x__quarantine")))["rule"].to_pylist())


def test_a_quarantine_is_partitioned_as_its_table() -> None:
    assert quarantine.schema("month").names == [*quarantine.SCHEMA.names, "month"]
    assert quarantine.schema(None) == quarantine.SCHEMA


def test_a_partition_is_replaced_and_others_stay(lakehouse: EmbeddedLakehouse) -> None:
    first = Quarantine.of("silver/x", "month", lakehouse)
    first.commit(refused(lakehouse, ("a", "2013-01"), ("b", "2013-02")), ["2013-01", "2013-02"], {"made:1": 1})
    assert rules_in(lakehouse) == ["a", "b"]
    again = Quarantine.of("silver/x", "month", lakehouse)
    bad = refused(lakehouse, ("c", "2013-01"))
    assert {file.path for file in again.after(bad, ["2013-01"]).files} > {file.path for file in bad.files}
    again.commit(bad, ["2013-01"], {"made:1": 2})
    assert rules_in(lakehouse) == ["b", "c"]
    assert Quarantine.of("silver/x", "month", lakehouse).rows(["2013-02"]).rows == 1


def test_rows_of_the_same_numbers_are_not_written_twice(lakehouse: EmbeddedLakehouse) -> None:
    numbers = {"made:1": 1}
    Quarantine.of("silver/x", "month", lakehouse).commit(refused(lakehouse, ("a", "2013-01")), ["2013-01"], numbers)
    stood = present(lakehouse.table("silver/x__quarantine"))
    again = Quarantine.of("silver/x", "month", lakehouse)
    assert again.stands(numbers)
    assert not again.stands({"made:1": 2})
    again.commit(refused(lakehouse, ("later", "2013-01")), ["2013-01"], numbers)
    assert rules_in(lakehouse) == ["a"]
    assert present(lakehouse.table("silver/x__quarantine")) == stood


def test_of_two_writers_the_later_is_told(lakehouse: EmbeddedLakehouse) -> None:
    one, other = (Quarantine.of("silver/x", "month", lakehouse) for _ in range(2))
    one.commit(refused(lakehouse, ("a", "2013-01")), ["2013-01"], {"made:1": 1})
    with pytest.raises(ConflictError):
        other.commit(refused(lakehouse, ("b", "2013-01")), ["2013-01"], {"made:1": 2})


def test_a_quarantine_that_was_never_made_is_not_empty_but_absent(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(NotFoundError, match="silver/x__quarantine is not there"):
        Quarantine.of("silver/x", "month", lakehouse).rows(["2013-01"])


def test_a_quarantine_tells_its_rules_and_a_few_rows(lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute) -> None:
    found = told(refused(lakehouse, *[("a", "2013-01")] * 11, ("b", "2013-02")), compute)
    assert found.by_rule == {"a": 11, "b": 1}
    assert len(found.sample) == 10
    assert set(found.sample[0]) == {"rule", "reason", "source_file", "source_offset", "row"}
