from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest

from ml_platform.engine import delta
from ml_platform.engine.rejected import Rejected, told
from ml_platform.engine.source_rows import COLUMNS, TYPE, Misfit
from ml_platform.errors import NotFoundError
from resources.embedded.lakehouse import EmbeddedLakehouse

AT = datetime(2013, 1, 1, tzinfo=UTC)
KEY = "bronze/events"


def opened(lakehouse: EmbeddedLakehouse, declaration: str = "first") -> Rejected:
    return Rejected(KEY, lakehouse, declaration, AT)


def misfit(offset: int, rule: str = TYPE) -> Misfit:
    return Misfit(offset, rule, f"row {offset} is wrong", f'{{"n": "{offset}"}}')


def refuse(lakehouse: EmbeddedLakehouse, digest: str, *misfits: Misfit, declaration: str = "first") -> None:
    with closing(opened(lakehouse, declaration)) as rejected:
        rejected.reading(digest)
        rejected.add(f"{digest}.csv", digest, misfits)
        rejected.commit(made=True)


def places(lakehouse: EmbeddedLakehouse) -> list[tuple[str, int]]:
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events__quarantine"))).to_pylist()
    return sorted((row["source_file"], row["source_offset"]) for row in rows)


def test_a_refused_row_stands_with_its_reason_and_place(lakehouse: EmbeddedLakehouse) -> None:
    refuse(lakehouse, "a", misfit(3))
    (row,) = delta.read_rows(delta.existing(lakehouse.table("bronze/events__quarantine"))).to_pylist()
    assert row == {
        "rule": "type",
        "reason": "row 3 is wrong",
        "source_file": "a.csv",
        "source_offset": 3,
        "row": '{"n": "3"}',
        "quarantined_at": AT,
        "source_digest": "a",
        "declaration": "first",
    }


def test_it_is_there_without_a_row_where_it_is_to_be_made(lakehouse: EmbeddedLakehouse) -> None:
    opened(lakehouse).commit(made=False)
    with pytest.raises(NotFoundError):
        told(KEY, lakehouse)
    opened(lakehouse).commit(made=True)
    assert told(KEY, lakehouse).rows == 0
    opened(lakehouse).commit(made=True)
    assert told(KEY, lakehouse).snapshot.version == 0


def test_a_file_that_is_read_again_is_replaced_and_others_stay(lakehouse: EmbeddedLakehouse) -> None:
    refuse(lakehouse, "a", misfit(1), misfit(2))
    refuse(lakehouse, "b", misfit(1))
    refuse(lakehouse, "a", misfit(2))
    assert places(lakehouse) == [("a.csv", 2), ("b.csv", 1)]
    refuse(lakehouse, "a")
    assert places(lakehouse) == [("b.csv", 1)]


def test_rows_that_wait_stay_as_they_were_refused(lakehouse: EmbeddedLakehouse) -> None:
    refuse(lakehouse, "a", misfit(1), misfit(2))
    rejected = opened(lakehouse, "second")
    rejected.reading("a")
    assert rejected.keep("a", [2, 5]) == 1
    rejected.commit(made=True)
    assert places(lakehouse) == [("a.csv", 2)]
    assert opened(lakehouse, "second").outdated("a")


def test_another_declaration_makes_its_rows_outdated(lakehouse: EmbeddedLakehouse) -> None:
    refuse(lakehouse, "a", misfit(1))
    assert opened(lakehouse).holds("a")
    assert not opened(lakehouse).holds("b")
    assert not opened(lakehouse).outdated("a")
    assert opened(lakehouse, "second").outdated("a")


def test_it_tells_rows_by_rule_and_shows_ten(lakehouse: EmbeddedLakehouse) -> None:
    refuse(lakehouse, "a", *(misfit(n) for n in range(12)))
    refuse(lakehouse, "b", misfit(0, COLUMNS))
    found = told(KEY, lakehouse)
    assert (found.rows, found.by_rule, len(found.sample)) == (13, {"type": 12, "columns": 1}, 10)
