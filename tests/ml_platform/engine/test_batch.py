"""What becomes of rows that do not fit, of new columns and of changed types, by the policy of their source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_platform.engine import delta
from ml_platform.engine import ingest as module
from ml_platform.engine.ingest import Ingested, Source, ingest, waiting
from ml_platform.engine.rejected import Rejected, told
from ml_platform.errors import SourceError
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02"]
STRICT = Source("bronze/events", "landing/events", "*", {"day": "date", "n": "int32"}, "month", "day")
LENIENT = replace(STRICT, misfits="quarantine")
MENDED = replace(LENIENT, columns={"day": "date", "n": "float64"}, type_changes="widen")
FILE = "day,n\n2013-01-01,1\n2013-01-02,1.7\n2013-02-01,2\n2013-02-02,two\n2013-02-03,2.5\n"

Land = Callable[[str, str], Path]
Ingesting = Callable[..., Ingested]


@pytest.fixture
def land(lakehouse: EmbeddedLakehouse) -> Land:
    folder = Path(lakehouse.files("landing/events").uri)

    def land(name: str, text: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        return folder / name

    return land


@pytest.fixture
def ingesting(lakehouse: EmbeddedLakehouse) -> Ingesting:
    def ingesting(source: Source, *months: int) -> Ingested:
        return ingest(source, [EVERY[month - 1] for month in months or (1, 2)], EVERY, lakehouse)

    return ingesting


@pytest.fixture
def kept(lakehouse: EmbeddedLakehouse) -> Callable[[], dict[int, Any]]:
    """Place → number of the rows in the table, each of which is there once."""

    def kept() -> dict[int, Any]:
        rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events"))).to_pylist()
        assert max(Counter((row["_source_digest"], row["_source_offset"]) for row in rows).values(), default=1) == 1
        return {row["_source_offset"]: row["n"] for row in sorted(rows, key=lambda row: row["_source_offset"])}

    return kept


@pytest.fixture
def apart(lakehouse: EmbeddedLakehouse) -> Callable[[], list[int]]:
    """The places of the rows in quarantine."""

    def apart() -> list[int]:
        snapshot = delta.existing(lakehouse.table("bronze/events__quarantine"))
        return sorted(delta.read_rows(snapshot)["source_offset"].to_pylist())

    return apart


def accounts(done: Ingested) -> tuple[int, int, int]:
    return done.commit.rows_added, done.passed, done.quarantined


def test_rows_that_do_not_fit_are_quarantined_and_every_row_is_accounted_for(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", FILE)
    done = ingesting(LENIENT)
    assert (done.read, *accounts(done)) == (5, 2, 0, 3)
    assert kept() == {0: 1, 2: 2}
    assert apart() == [1, 3, 4]
    sample = told("bronze/events", lakehouse).sample[0]
    assert (sample["source_file"], sample["row"]) == ("a.csv", '{"day": "2013-01-02", "n": "1.7"}')
    again = ingesting(LENIENT)
    assert (again.commit.unchanged, again.read) == (True, 0)
    assert told("bronze/events", lakehouse).snapshot.version == 0


def test_a_strict_source_takes_nothing_of_such_a_file(land: Land, ingesting: Ingesting) -> None:
    land("a.csv", FILE)
    with pytest.raises(SourceError, match=r"a\.csv cannot be read as declared.*Row #3.*'1\.7'"):
        ingesting(STRICT)


def test_a_mended_declaration_takes_the_rows_that_fit_now_exactly_once(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any
) -> None:
    land("a.csv", FILE)
    ingesting(LENIENT)
    done = ingesting(MENDED)
    assert kept() == {0: 1.0, 1: 1.7, 2: 2.0, 4: 2.5}
    assert apart() == [3]
    assert (done.read, done.passed, done.quarantined) == (5, 2, 1)
    assert done.changes == ("n widened from int32 to double",)
    assert ingesting(MENDED).commit.unchanged
    assert kept() == {0: 1.0, 1: 1.7, 2: 2.0, 4: 2.5}


def test_a_row_of_a_month_that_is_not_asked_for_stays_in_quarantine(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any
) -> None:
    land("a.csv", FILE)
    ingesting(LENIENT)
    ingesting(MENDED, 1)
    assert (kept(), apart()) == ({0: 1.0, 1: 1.7, 2: 2.0}, [3, 4])
    ingesting(MENDED, 2)
    assert (kept(), apart()) == ({0: 1.0, 1: 1.7, 2: 2.0, 4: 2.5}, [3])


def test_a_row_that_has_left_quarantine_does_not_come_back_to_it(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any
) -> None:
    # given a declaration that is mended, and then spoilt in another way
    land("a.csv", FILE)
    ingesting(LENIENT)
    ingesting(MENDED)
    ingesting(replace(MENDED, timezone="America/New_York"))
    assert (set(kept()), apart()) == ({0, 1, 2, 4}, [3])


class Killed(BaseException):
    """The process ends here."""


def test_a_crash_between_the_table_and_its_quarantine_is_mended(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    land("a.csv", FILE)
    for source, rows, refused in ((LENIENT, {0, 2}, [1, 3, 4]), (MENDED, {0, 1, 2, 4}, [3])):
        with monkeypatch.context() as patched:
            patched.setattr(Rejected, "commit", killed)
            with pytest.raises(Killed):
                ingesting(source)
        assert set(kept()) == rows
        ingesting(source)
        assert (set(kept()), apart()) == (rows, refused)


def test_a_file_of_misfits_alone_does_not_wait_for_ever(
    land: Land, ingesting: Ingesting, apart: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "day,n\n2013-01-01,x\n2013-01-02,\n2014-01-01,1\n".replace("02,\n", "02,y\n"))
    assert ingesting(LENIENT).quarantined == 3
    assert apart() == [0, 1, 2]
    assert waiting(LENIENT, EVERY, lakehouse) == set()


def test_a_new_column_is_added_and_the_change_is_said(
    land: Land, ingesting: Ingesting, lakehouse: EmbeddedLakehouse
) -> None:
    adding = replace(STRICT, new_columns="add")
    land("a.csv", "day,n\n2013-01-01,1\n")
    ingesting(adding, 1)
    land("b.csv", "day,n,late\n2013-02-01,2,yes\n")
    assert waiting(adding, EVERY, lakehouse) == {"2013-02"}
    assert ingesting(adding).changes == ("late added as string",)
    land("c.csv", "day,n\n2013-02-02,3\n")
    assert ingesting(adding).changes == ()
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "late"]).sort_by("n")
    assert rows.to_pylist() == [{"n": 1, "late": None}, {"n": 2, "late": "yes"}, {"n": 3, "late": None}]


def test_rows_with_a_new_column_are_quarantined_until_it_is_declared(
    land: Land, ingesting: Ingesting, kept: Any, apart: Any
) -> None:
    source = replace(STRICT, new_columns="quarantine")
    land("a.csv", "day,n,late\n2013-01-01,1,yes\n2013-02-01,2,no\n")
    assert ingesting(source).quarantined == 2
    assert (kept(), apart()) == ({}, [0, 1])
    declared = replace(source, columns={**source.columns, "late": "string"})
    assert ingesting(declared).commit.rows_added == 2
    assert (kept(), apart()) == ({0: 1, 1: 2}, [])


def test_a_widened_column_keeps_every_row_and_its_place(land: Land, ingesting: Ingesting, kept: Any) -> None:
    land("a.csv", "day,n\n2013-01-01,1\n2013-02-01,2\n")
    ingesting(STRICT)
    land("b.csv", "day,n\n2013-01-01,7\n2013-01-01,7\n2013-02-01,3000000000\n")
    wider = replace(STRICT, columns={"day": "date", "n": "int64"}, type_changes="widen")
    done = ingesting(wider)
    assert done.changes == ("n widened from int32 to int64",)
    assert done.read == 3
    assert done.snapshot.rows == 5
    assert done.snapshot.schema.field("n").type == "int64"
    assert ingesting(wider).commit.unchanged


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv.gz", "a.parquet"])
def test_a_changed_file_is_a_further_version_where_the_source_says_so(
    land: Land, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, name: str
) -> None:
    source = replace(STRICT, on_change="ingest")
    for numbers in ([1], [1, 2]):
        write(land(name, ""), numbers)
        done = ingesting(source, 1)
    assert done.changed == (name,)
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "_sequence"])
    assert sorted(tuple(row.values()) for row in rows.to_pylist()) == [(1, 1), (1, 2), (2, 2)]
    assert ingesting(source, 1).commit.unchanged


def test_a_correction_that_is_taken_back_is_told_for_its_rows_would_not_be_the_last(
    land: Land, ingesting: Ingesting, lakehouse: EmbeddedLakehouse
) -> None:
    source = replace(STRICT, on_change="ingest")
    for number in (1, 2):
        land("a.csv", f"day,n\n2013-01-01,{number}\n")
        ingesting(source, 1)
    land("a.csv", "day,n\n2013-01-01,1\n")
    with pytest.raises(SourceError, match=r"a\.csv holds again what it held before it was corrected.*an empty line"):
        ingesting(source, 1)
    land("a.csv", "day,n\n2013-01-01,1\n\n")
    ingesting(source, 1)
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "_sequence"]).to_pylist()
    assert sorted((row["_sequence"], row["n"]) for row in rows) == [(1, 1), (2, 2), (3, 1)]
    # two files that change places are no corrections of rows that were taken
    for name, number in {"b.csv": 8, "c.csv": 9}.items():
        land(name, f"day,n\n2013-01-01,{number}\n")
    ingesting(source, 1)
    for names in (("c.csv", "b.csv"), ("b.csv", "c.csv")):
        for name, number in zip(names, (8, 9), strict=True):
            land(name, f"day,n\n2013-01-01,{number}\n")
        assert ingesting(source, 1).commit.unchanged


def write(path: Path, numbers: list[int]) -> None:
    import polars as pl

    frame = pl.DataFrame({"day": ["2013-01-01"] * len(numbers), "n": numbers})
    if path.suffix == ".parquet":
        frame.with_columns(pl.col("day").str.to_date(), pl.col("n").cast(pl.Int32)).write_parquet(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        import gzip

        path.write_bytes(gzip.compress(frame.write_csv().encode()))


def test_a_file_that_is_written_to_while_it_is_read_is_refused(
    land: Land, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land("a.csv", "day,n\n2013-01-01,1\n")
    real = Rejected.add

    def growing(*arguments: Any) -> None:
        with path.open("a") as file:
            file.write("2013-01-02,2\n")
        real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Rejected, "add", growing)
        patched.setattr(module, "HELD_BYTES", 0)
        with pytest.raises(SourceError, match=r"a\.csv was written to while it was read"):
            ingesting(STRICT, 1)
    assert delta.snapshot(lakehouse.table("bronze/events")) is None
    assert ingesting(STRICT, 1).commit.rows_added == 2
