from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction

from ml_platform.engine import batch, delta
from ml_platform.engine import ingest as module
from ml_platform.engine.ingest import Ingested, Source, ingest, listing, waiting
from ml_platform.engine.manifest import Manifest
from ml_platform.engine.staging import present
from ml_platform.errors import AuditError, ConflictError, SourceError
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02", "2013-03"]
EVENTS = Source(
    "bronze/events", "landing/events", "events/*", {"day": "date", "n": "int32"}, "month", "day", "America/New_York"
)
PLANES = Source("bronze/planes", "landing/events", "planes/*", {"plane": "string", "n": "int32"})

Ingesting = Callable[..., Ingested]


@pytest.fixture
def landing(lakehouse: EmbeddedLakehouse) -> Path:
    return Path(lakehouse.files("landing/events").uri)


@pytest.fixture
def land(landing: Path) -> Callable[..., None]:
    """A file of rows in the format of its name; each is said by its day and its number, for instance `01-31 7`."""

    def land(name: str, *rows: str) -> None:
        write(landing / "events" / name, content(name, [f"2013-{row}" for row in rows]))

    return land


@pytest.fixture
def ingesting(lakehouse: EmbeddedLakehouse) -> Ingesting:
    def ingesting(*months: int, source: Source = EVENTS) -> Ingested:
        selected = [EVERY[month - 1] for month in months] if source.partition else [""]
        return ingest(source, selected, EVERY, lakehouse)

    return ingesting


@pytest.fixture
def numbers(lakehouse: EmbeddedLakehouse) -> Callable[..., list[int]]:
    """The numbers in the table, of all its rows."""

    def numbers(key: str = "bronze/events") -> list[int]:
        found = delta.snapshot(lakehouse.table(key))
        return [] if found is None else sorted(delta.read_rows(found, ["n"])["n"].to_pylist())

    return numbers


def content(name: str, rows: Sequence[str]) -> bytes:
    """A file's bytes; what is no number is one in Parquet too, but does not fit."""
    told = [row.split(" ") for row in rows]
    if name.endswith(".parquet"):
        days = pa.array([date.fromisoformat(day) for day, _ in told])
        written = pa.BufferOutputStream()
        pq.write_table(pa.table({"day": days, "n": [int(n) if n.isdigit() else 2**40 for _, n in told]}), written)
        return bytes(written.getvalue())
    if ".jsonl" in name:
        text = "".join(json.dumps({"day": day, "n": int(n) if n.isdigit() else n}) + "\n" for day, n in told)
    else:
        text = "day,n\n" + "".join(f"{day},{n}\n" for day, n in told)
    whole = text.encode()
    return gzip.compress(whole, mtime=0) if name.endswith(".gz") else whole


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_landed_files_are_ingested_as_they_landed(
    land: Any, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, landing: Path
) -> None:
    land("b.csv", "01-02 3", "01-01 4")
    land("a.csv", "01-31 1", "02-01 2")
    before = datetime.now(UTC)
    done = ingesting(1, 2)
    assert (done.files, done.offered, done.commit.rows_added) == (2, 2, 4)
    table = delta.read_rows(delta.existing(lakehouse.table("bronze/events"))).sort_by("n").to_pylist()
    assert [(row["n"], row["month"], row["_source_file"], row["_source_offset"]) for row in table] == [
        (1, "2013-01", "events/a.csv", 0),
        (2, "2013-02", "events/a.csv", 1),
        (3, "2013-01", "events/b.csv", 0),
        (4, "2013-01", "events/b.csv", 1),
    ]
    digests = {row["_source_file"]: row["_source_digest"] for row in table}
    for path, digest in digests.items():
        assert digest == hashlib.sha256((landing / path).read_bytes()).hexdigest()[:32]
    assert {row["_sequence"] for row in table} == {1}
    (at,) = {row["_ingested_at"] for row in table}
    assert before <= at <= datetime.now(UTC)


def test_a_file_is_ingested_once_however_often_it_is_offered(land: Any, ingesting: Ingesting, numbers: Any) -> None:
    land("a.csv", "01-01 1")
    ingesting(1)
    again = ingesting(1)
    assert again.commit.unchanged
    assert (again.files, again.offered) == (0, 1)
    assert numbers() == [1]


def test_a_file_under_another_name_is_the_same_file(
    land: Any, ingesting: Ingesting, numbers: Any, landing: Path
) -> None:
    land("a.csv", "01-01 1")
    ingesting(1)
    # renamed
    (landing / "events" / "a.csv").rename(landing / "events" / "b.csv")
    assert ingesting(1).commit.unchanged
    # sent again beside it, and in the same run as a new one
    land("c.csv", "01-01 1")
    land("d.csv", "01-02 2")
    assert ingesting(1).files == 1
    assert numbers() == [1, 2]


def test_two_files_of_the_same_content_in_one_run_are_one(land: Any, ingesting: Ingesting, numbers: Any) -> None:
    land("a.csv", "01-01 1", "02-01 2")
    land("b.csv", "01-01 1", "02-01 2")
    assert ingesting(1, 2).files == 1
    assert ingesting(1, 2).commit.unchanged
    assert numbers() == [1, 2]


def test_equal_rows_of_one_file_all_stay(land: Any, ingesting: Ingesting, numbers: Any) -> None:
    land("a.csv", "01-01 1", "01-01 1")
    ingesting(1)
    assert numbers() == [1, 1]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_a_file_of_several_months_is_ingested_once_in_any_order_of_runs(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse, order: tuple[int, ...]
) -> None:
    land("a.csv", "01-31 1", "02-01 2", "01-30 1")
    land("b.csv", "03-01 3", "02-02 2", "01-29 1")
    taken: Counter[int] = Counter()
    for month in order:
        done = ingesting(month)
        assert done.commit.partitions == (EVERY[month - 1],)
        assert ingesting(month).commit.unchanged
        taken[month] = done.commit.rows_added
    assert taken == {1: 3, 2: 2, 3: 1}
    assert numbers() == [1, 1, 1, 2, 2, 3]
    offsets = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["_source_file", "_source_offset"])
    assert Counter(tuple(row.values()) for row in offsets.to_pylist()) == Counter(
        (f"events/{name}.csv", offset) for name in "ab" for offset in range(3)
    )


def test_overlapping_runs_take_what_is_missing(land: Any, ingesting: Ingesting, numbers: Any) -> None:
    land("a.csv", "01-31 1", "02-01 2", "03-01 3")
    assert ingesting(1, 2).commit.rows_added == 2
    land("b.csv", "02-02 22")
    assert ingesting(2, 3).commit.rows_added == 2
    assert ingesting(1, 2, 3).commit.unchanged
    assert numbers() == [1, 2, 3, 22]


def test_only_the_selected_partitions_come_back(land: Any, ingesting: Ingesting) -> None:
    land("a.csv", "01-31 1", "02-01 2")
    ingesting(1)
    assert {file.partition["month"] for file in ingesting(2).snapshot.files} == {"2013-02"}


def test_an_unpartitioned_source_is_taken_whole(ingesting: Ingesting, numbers: Any, landing: Path) -> None:
    write(landing / "planes" / "a.csv", "plane,n\nN1,1\nN2,2\n")
    assert ingesting(source=PLANES).commit.rows_added == 2
    assert ingesting(source=PLANES).commit.unchanged
    write(landing / "planes" / "b.csv", "plane,n\nN3,3\n")
    assert ingesting(source=PLANES).commit.rows_added == 1
    assert numbers("bronze/planes") == [1, 2, 3]


def test_an_unpartitioned_source_may_have_no_rows(ingesting: Ingesting, numbers: Any, landing: Path) -> None:
    write(landing / "planes" / "a.csv", "plane,n\n")
    assert ingesting(source=PLANES).commit.rows_added == 0
    assert ingesting(source=PLANES).commit.unchanged
    assert numbers("bronze/planes") == []


def test_a_compressed_file_is_ingested(ingesting: Ingesting, numbers: Any, landing: Path) -> None:
    write(landing / "events" / "a.csv.gz", gzip.compress(b"day,n\n2013-01-01,1\n"))
    ingesting(1)
    assert ingesting(1).commit.unchanged
    assert numbers() == [1]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("number", [1, 2], ids=["first batch", "later batch"])
def test_a_crash_between_the_rows_and_the_manifest_is_mended(
    land: Any, ingesting: Ingesting, numbers: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    # given a file of two months, of which one was being ingested as the process was killed
    land("a.csv", "02-15 20")
    if number == 2:
        ingesting(2)
    land("b.csv", "01-31 1", "02-01 2", "01-30 10")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "append", killed)
        with pytest.raises(Killed):
            ingesting(1)
    assert [n for n in numbers() if n in (1, 10)] == [1, 10]
    # when it runs again, and for the other month
    assert ingesting(1).commit.unchanged
    ingesting(1, 2)
    # then nothing is doubled and nothing is lost
    assert numbers() == [1, 2, 10, 20]
    assert ingesting(1, 2).commit.unchanged


def test_a_manifest_that_lost_its_last_entry_is_mended(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "01-01 1")
    ingesting(1)
    land("b.csv", "01-02 2", "02-02 3")
    ingesting(1)
    manifest = lakehouse.table("bronze/events__manifest")
    last = delta.existing(manifest).version
    (Path(manifest.uri) / "_delta_log" / f"{last:020}.json").unlink()
    assert ingesting(1).commit.unchanged
    assert ingesting(1, 2).commit.rows_added == 1
    assert numbers() == [1, 2, 3]


def test_a_manifest_that_is_gone_is_made_again_from_the_rows(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "01-01 1", "02-01 2")
    ingesting(1)
    for path in sorted(Path(lakehouse.table("bronze/events__manifest").uri).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert ingesting(1, 2).commit.rows_added == 1
    assert numbers() == [1, 2]


def test_a_crash_after_a_batch_without_rows_is_mended(
    ingesting: Ingesting, landing: Path, monkeypatch: pytest.MonkeyPatch, numbers: Any
) -> None:
    write(landing / "planes" / "a.csv", "plane,n\n")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "append", killed)
        with pytest.raises(Killed):
            ingesting(source=PLANES)
    assert ingesting(source=PLANES).commit.unchanged
    write(landing / "planes" / "b.csv", "plane,n\nN1,1\n")
    ingesting(source=PLANES)
    assert numbers("bronze/planes") == [1]


def test_ingests_at_once_take_every_row_once(
    land: Any, lakehouse: EmbeddedLakehouse, ingesting: Ingesting, numbers: Any
) -> None:
    for number in range(6):
        land(f"{number}.csv", f"01-0{number + 1} {number}", f"02-0{number + 1} {number}")
    ready = threading.Barrier(4, timeout=20)
    failed: list[BaseException] = []

    def go(month: int) -> None:
        ready.wait()
        try:
            ingesting(month)
        except BaseException as error:
            failed.append(error)

    runs = [threading.Thread(target=go, args=(month,)) for month in (1, 2, 1, 2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert failed == []
    assert ingesting(1, 2).commit.unchanged
    assert numbers() == sorted(2 * list(range(6)))


def test_a_manifest_that_somebody_else_wrote_meanwhile_fails_nothing(
    land: Any, ingesting: Ingesting, numbers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv", "01-01 1", "02-01 2")

    def disputed(*_: Any) -> None:
        raise ConflictError("it was committed to, but this builds on what stood")

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "append", disputed)
        assert ingesting(1).commit.rows_added == 1
    assert ingesting(1, 2).commit.rows_added == 1
    assert numbers() == [1, 2]


GOOD = "day,n\n2013-01-01,1\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"events/z\.csv is empty"),
        ("day,n\n2013-01-02,2\n2013-01-0", r"events/z\.csv is cut off in its last line"),
        ("day\n2013-01-02\n", r"events/z\.csv has no column n"),
        ("day,n,more\n2013-01-02,2,3\n", r"events/z\.csv has a column more"),
        ("day,n\n2013-01-02,two\n", r"events/z\.csv cannot be read as declared.*Row #2.*'two'"),
        ("day,n\n2013-01-02,2\n2012-12-31,3\n", r"events/z\.csv has rows whose month is 2012-12"),
        ("day,n\n2013-01-02,2\n,3\n", r"events/z\.csv has rows whose month is NULL"),
        ("day,n\n2013-01-02,2\n2013-02-30,3\n", r"events/z\.csv cannot be read as declared.*2013-02-30"),
    ],
    ids=["empty", "cut off", "column gone", "column undeclared", "text", "outside", "no partition", "no date"],
)
@pytest.mark.parametrize("stands", [False, True], ids=["new", "standing"])
def test_a_bad_file_is_named_and_nothing_is_committed(
    ingesting: Ingesting,
    numbers: Any,
    landing: Path,
    lakehouse: EmbeddedLakehouse,
    content: str,
    said: str,
    stands: bool,
) -> None:
    # given good files, of which one may stand already, and a bad one
    write(landing / "events" / "a.csv", GOOD)
    if stands:
        ingesting(1)
    write(landing / "events" / "b.csv", GOOD.replace(",1\n", ",7\n"))
    write(landing / "events" / "z.csv", content)
    before = present(lakehouse.table("bronze/events")), present(lakehouse.table("bronze/events__manifest"))
    # when they are ingested
    with pytest.raises(SourceError, match=said):
        ingesting(1)
    # then nothing of them is there, and no stray file
    assert numbers() == ([1] if stands else [])
    assert (present(lakehouse.table("bronze/events")), present(lakehouse.table("bronze/events__manifest"))) == before
    # and once it is mended, everything is
    write(landing / "events" / "z.csv", GOOD.replace(",1\n", ",9\n"))
    ingesting(1)
    assert numbers() == [1, 7, 9]


def test_a_changed_file_under_an_old_name_is_refused(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "01-01 1")
    ingesting(1)
    land("a.csv", "01-01 1", "01-02 2")
    before = present(lakehouse.table("bronze/events"))
    with pytest.raises(SourceError, match=r"events/a\.csv holds other rows than when it was ingested"):
        ingesting(1)
    assert numbers() == [1]
    assert present(lakehouse.table("bronze/events")) == before


@pytest.mark.parametrize("first", ["renamed", "header", "other month"])
def test_a_file_that_changes_is_refused_however_it_was_known(
    land: Any, ingesting: Ingesting, numbers: Any, first: str
) -> None:
    land("a.csv", "01-01 1")
    if first == "renamed":
        ingesting(1)
    land("b.csv", *{"renamed": ["01-01 1"], "header": [], "other month": ["02-01 5"]}[first])
    ingesting(1)
    land("b.csv", "01-09 9")
    with pytest.raises(SourceError, match=r"events/b\.csv holds other rows"):
        ingesting(1)
    assert numbers() == [1]


def test_a_file_that_vanishes_after_it_was_listed_is_named(
    land: Any, ingesting: Ingesting, numbers: Any, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv", "01-01 1")
    land("b.csv", "01-02 2")
    real = batch.rows_of

    def vanishing(*arguments: Any, **options: Any) -> Any:
        (landing / "events" / "b.csv").unlink(missing_ok=True)
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(batch, "rows_of", vanishing)
        patched.setattr(module, "HELD_BYTES", 0)
        with pytest.raises(SourceError, match=r"events/b\.csv was listed, but it is gone"):
            ingesting(1)
    assert numbers() == []
    monkeypatch.setattr(module, "offered", lambda *_: ["events/a.csv", "events/gone.csv"])
    with pytest.raises(SourceError, match=r"events/gone\.csv was listed, but it is gone"):
        ingesting(1)


def test_a_selected_partition_that_no_file_brings_is_refused(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "01-01 1")
    with pytest.raises(SourceError, match="bronze/events has no rows for 2013-02, 2013-03, but these"):
        ingesting(1, 2, 3)
    assert numbers() == []
    assert present(lakehouse.table("bronze/events")) == frozenset()


def test_no_file_at_all_is_an_error(ingesting: Ingesting) -> None:
    with pytest.raises(SourceError, match=r"bronze/events reads events/\*, but no landed file of landing/events"):
        ingesting(1)


def test_a_newly_declared_column_may_come_and_a_dropped_one_may_not(
    land: Any, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, landing: Path
) -> None:
    land("a.csv", "01-01 1")
    ingesting(1)
    (landing / "events" / "a.csv").unlink()
    write(landing / "events" / "b.csv", "day,n,late\n2013-01-02,2,true\n")
    more = Source(**{**vars(EVENTS), "columns": {**EVENTS.columns, "late": "boolean"}})
    ingesting(1, source=more)
    table = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "late"]).sort_by("n")
    assert table.to_pylist() == [{"n": 1, "late": None}, {"n": 2, "late": True}]
    (landing / "events" / "b.csv").unlink()
    land("c.csv", "01-03 3")
    before = present(lakehouse.table("bronze/events"))
    with pytest.raises(AuditError, match="bronze/events changes its columns late"):
        ingesting(1)
    assert present(lakehouse.table("bronze/events")) == before


def test_what_waits_is_what_an_ingest_would_take(
    land: Any, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, landing: Path
) -> None:
    assert waiting(EVENTS, EVERY, lakehouse) == set()
    land("a.csv", "01-31 1", "02-01 2")
    assert waiting(EVENTS, EVERY, lakehouse) == {"2013-01", "2013-02"}
    ingesting(1)
    assert waiting(EVENTS, EVERY, lakehouse) == {"2013-02"}
    ingesting(2)
    assert waiting(EVENTS, EVERY, lakehouse) == set()
    land("b.csv", "01-31 1", "02-01 2")
    assert waiting(EVENTS, EVERY, lakehouse) == set()
    write(landing / "events" / "c.csv", "not,as\ndeclared")
    assert waiting(EVENTS, EVERY, lakehouse) == {"2013-03"}


def test_of_an_unpartitioned_source_all_waits_or_nothing(
    ingesting: Ingesting, lakehouse: EmbeddedLakehouse, landing: Path
) -> None:
    assert waiting(PLANES, EVERY, lakehouse) == set()
    write(landing / "planes" / "a.csv", "plane,n\nN1,1\n")
    assert waiting(PLANES, EVERY, lakehouse) == {""}
    ingesting(source=PLANES)
    assert waiting(PLANES, EVERY, lakehouse) == set()


def test_asking_what_waits_writes_nothing(
    land: Any, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    land("a.csv", "01-31 1", "02-01 2")
    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "append", killed)
        with pytest.raises(Killed):
            ingesting(1)
    assert waiting(EVENTS, EVERY, lakehouse) == {"2013-02"}
    assert delta.snapshot(lakehouse.table("bronze/events__manifest")) is None


def test_a_listing_changes_when_a_file_lands_moves_or_changes(
    land: Any, lakehouse: EmbeddedLakehouse, landing: Path
) -> None:
    seen = [listing({"landing/events"}, lakehouse)]
    land("a.csv", "01-01 1")
    seen.append(listing({"landing/events"}, lakehouse))
    (landing / "events" / "a.csv").rename(landing / "events" / "b.csv")
    seen.append(listing({"landing/events"}, lakehouse))
    land("b.csv", "01-01 2")
    os.utime(landing / "events" / "b.csv", ns=(1, 1))
    seen.append(listing({"landing/events"}, lakehouse))
    assert len(set(seen)) == 4
    assert listing({"landing/events"}, lakehouse) == seen[-1]


PROGRAM = """
import json, os, signal, sys
from dataclasses import replace
from ml_platform.engine.ingest import Source, ingest
from resources.embedded.lakehouse import EmbeddedLakehouse

home, source, every, at = sys.argv[1], Source(**json.loads(sys.argv[2])), json.loads(sys.argv[3]), int(sys.argv[4])
seen, commits = 0, []

def watch(frame, event, _):
    global seen
    code = frame.f_code
    if "/ml_platform/engine/" not in code.co_filename:
        return
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)
    if code.co_name == "commit" and code.co_filename.endswith("/delta.py") and event in ("call", "return"):
        commits.append(seen)
    seen += 1

lakehouse = EmbeddedLakehouse(home)
sys.setprofile(watch)
ingest(source, every, every, lakehouse)
sys.setprofile(None)
print(json.dumps([seen, commits]))
"""
LENIENT = replace(EVENTS, misfits="quarantine", new_columns="quarantine")


def in_a_process(home: Path, killed_at: int) -> subprocess.CompletedProcess[str]:
    """An ingest in a process of its own, which is killed at its so many-th step; -1 for one that ends."""
    arguments = [str(home), json.dumps(vars(LENIENT)), json.dumps(EVERY), str(killed_at)]
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)


MIXED = ("a.csv", "b.jsonl.gz", "c.parquet")


def land_mixed(home: Path) -> None:
    """A file of each format, of which each third row does not fit."""
    folder = Path(EmbeddedLakehouse(str(home)).files("landing/events").uri)
    for name in MIXED:
        rows = [f"2013-0{n % 3 + 1}-05 {'x' if n % 3 == 2 else n}" for n in range(12)]
        write(folder / "events" / name, content(name, [*rows, f"2013-01-09 {ord(name[0])}"]))


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[int]]:
    """How many steps an ingest takes, and which of them stand right before and right behind a commit."""
    home = tmp_path_factory.mktemp("counted") / "lakehouse"
    land_mixed(home)
    total, commits = json.loads(in_a_process(home, -1).stdout)
    assert len(commits) == 6  # the table, its quarantine, its manifest
    return total, commits


@pytest.mark.parametrize("seed", range(10))
def test_a_process_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, steps: tuple[int, list[int]], seed: int
) -> None:
    # given runs that are killed, before and behind each commit and anywhere
    home = tmp_path / "lakehouse"
    land_mixed(home)
    total, commits = steps
    moments = random.Random(seed)  # noqa: S311 - a test's moments
    for at in ([commits[seed]] if seed < len(commits) else []) + [moments.randrange(total)]:
        assert in_a_process(home, at).returncode in (0, -signal.SIGKILL)
    # when one ends
    lakehouse = EmbeddedLakehouse(str(home))
    ingest(LENIENT, EVERY, EVERY, lakehouse)
    # then each row stands in the table or in quarantine, once
    rows, refused = (
        delta.read_rows(delta.existing(lakehouse.table(key))) for key in ("bronze/events", "bronze/events__quarantine")
    )
    table = Counter(zip(rows["_source_file"].to_pylist(), rows["_source_offset"].to_pylist(), strict=True))
    quarantine = Counter(zip(refused["source_file"].to_pylist(), refused["source_offset"].to_pylist(), strict=True))
    bad = {(f"events/{name}", n) for name in MIXED for n in range(12) if n % 3 == 2}
    every = {(f"events/{name}", n) for name in MIXED for n in range(13)}
    assert quarantine == Counter(bad)
    assert table == Counter(every - bad)
    assert ingest(LENIENT, EVERY, EVERY, lakehouse).commit.unchanged


@pytest.mark.parametrize("undone", ["b.csv", "b.jsonl.gz", "b.parquet"])
@pytest.mark.parametrize("numbers_go_back", [False, True], ids=["by delta's restore", "by ours"])
def test_what_a_restore_undid_is_taken_again_exactly_once(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse, numbers_go_back: bool, undone: str
) -> None:
    # given a batch that stays, one that is undone, and misfits of either
    for name, number in (("a.csv", 1), (undone, 2)):
        land(name, f"01-01 {number}", f"02-01 {number * 10}", "01-02 x")
        ingesting(1, source=LENIENT)
    location = lakehouse.table("bronze/events")
    table = DeltaTable(location.uri)
    table.restore(0)
    if numbers_go_back:
        back = CommitProperties(app_transactions=[Transaction("ingest", 1)])
        table = DeltaTable(location.uri)
        table.create_write_transaction([], "append", table.schema(), ["month"], commit_properties=back)
    assert numbers() == [1]
    # then it waits, and comes once, also for the month that was never asked for
    assert waiting(LENIENT, EVERY, lakehouse) == {"2013-01", "2013-02"}
    ingesting(1, source=LENIENT)
    assert numbers() == [1, 2]
    ingesting(1, 2, source=LENIENT)
    assert numbers() == [1, 2, 10, 20]
    assert ingesting(1, 2, source=LENIENT).commit.unchanged
    assert delta.existing(lakehouse.table("bronze/events__quarantine")).rows == 2


def test_rows_that_left_quarantine_and_were_undone_are_taken_again_alone(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    # given a row that a mended declaration has taken, under a policy that quarantines nothing any more
    land("a.csv", "01-01 1", "01-02 3000000000")
    ingesting(1, source=LENIENT)
    mended = replace(EVENTS, columns={"day": "date", "n": "int64"}, type_changes="widen")
    ingesting(1, source=mended)
    assert numbers() == [1, 3_000_000_000]
    # when that is undone, then the file's other row is not taken with it
    DeltaTable(lakehouse.table("bronze/events").uri).restore(0)
    ingesting(1, source=mended)
    assert numbers() == [1, 3_000_000_000]
    assert ingesting(1, source=mended).commit.unchanged


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_from_before_a_column_was_declared_has_none_of_it_when_its_refused_rows_are_tried_again(
    land: Any, landing: Path, ingesting: Ingesting, lakehouse: EmbeddedLakehouse, ending: str
) -> None:
    # given a file with a refused row, and a later file that brings a further column
    land(f"a.{ending}", "01-01 1", "01-02 3000000000")
    ingesting(1, source=LENIENT)
    write(landing / "events" / "b.csv", b"day,n,w\n2013-01-03,3,7\n")
    ingesting(1, source=LENIENT)
    # when the column is declared, and the type that the row needs
    wider = replace(LENIENT, columns={"day": "date", "n": "int64", "w": "int32"}, type_changes="widen")
    ingesting(1, source=wider)
    # then every row stands, those of the older file without the column
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "w"]).to_pylist()
    assert sorted((row["n"], row["w"]) for row in rows) == [(1, None), (3, 7), (3_000_000_000, None)]
    assert delta.existing(lakehouse.table("bronze/events__quarantine")).rows == 0
    assert ingesting(1, source=wider).commit.unchanged


def test_a_month_that_waits_in_a_file_from_before_a_column_was_declared_has_none_of_it(
    land: Any, ingesting: Ingesting, lakehouse: EmbeddedLakehouse
) -> None:
    land("a.csv", "01-01 1", "02-01 2")
    ingesting(1)
    wider = replace(EVENTS, columns={**EVENTS.columns, "w": "int32"})
    assert waiting(wider, EVERY, lakehouse) == {"2013-02"}
    ingesting(2, source=wider)
    rows = delta.read_rows(delta.existing(lakehouse.table("bronze/events")), ["n", "w"]).to_pylist()
    assert sorted((row["n"], row["w"]) for row in rows) == [(1, None), (2, None)]


def test_a_new_file_without_a_declared_column_is_refused_though_older_ones_may_be(
    land: Any, ingesting: Ingesting
) -> None:
    wider = replace(LENIENT, columns={**EVENTS.columns, "w": "int32"})
    land("a.csv", "01-01 1", "01-02 x")
    ingesting(1, source=LENIENT)
    ingesting(1, source=wider)
    land("b.csv", "01-03 3")
    with pytest.raises(SourceError, match=r"events/b\.csv has no column w, but its source declares it"):
        ingesting(1, source=wider)


def test_batches_are_known_when_the_log_has_been_cleaned_up(
    land: Any, ingesting: Ingesting, numbers: Any, lakehouse: EmbeddedLakehouse
) -> None:
    # given four batches, of whose commits only the last is left in each table's log
    for number, name in enumerate(("1.parquet", "2.jsonl", "3.csv.gz", "4.csv"), 1):
        land(name, f"01-0{number} {number}", f"02-0{number} x")
        ingesting(1, source=LENIENT)
    tables = [lakehouse.table(f"bronze/events{suffix}") for suffix in ("", "__manifest", "__quarantine")]
    for location in tables:
        DeltaTable(location.uri).create_checkpoint()
        *older, _ = sorted((Path(location.uri) / "_delta_log").glob("*.json"))
        for path in older:
            path.unlink()
    # then nothing is new, and what is new is taken once
    assert ingesting(1, source=LENIENT).commit.unchanged
    land("5.csv", "01-05 5")
    land("6.csv", "01-04 4", "02-04 x")
    assert ingesting(1, source=LENIENT).files == 1
    assert numbers() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("held_bytes", "opened"), [(2**20, 1), (0, 2)])
def test_a_small_file_is_read_once_and_a_large_one_once_more(
    land: Any, ingesting: Ingesting, numbers: Any, monkeypatch: pytest.MonkeyPatch, held_bytes: int, opened: int
) -> None:
    real, seen = module.filesystem, Counter[str]()

    class Recording:
        """A file system that counts how often a file is opened."""

        def __init__(self, location: Any) -> None:
            self._files = real(location)

        def open_input_stream(self, path: str, **how: Any) -> Any:
            seen[path] += 1
            return self._files.open_input_stream(path, **how)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._files, name)

    monkeypatch.setattr(module, "filesystem", Recording)
    monkeypatch.setattr(module, "HELD_BYTES", held_bytes)
    land("a.csv", "01-01 1")
    ingesting(1)
    assert (numbers(), dict(seen)) == ([1], {"events/a.csv": opened})
    # and once to see that it is the same
    ingesting(1)
    assert seen == {"events/a.csv": opened + 1}
