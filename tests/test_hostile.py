"""Hostile input: refused before anything is run or written; and 500 damaged files, none of them accepted in silence."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform import binding
from ml_platform.engine import delta
from ml_platform.engine.files import filesystem
from ml_platform.engine.integrity import audit
from ml_platform.engine.landing import land
from ml_platform.engine.package import require_no_pickle
from ml_platform.engine.source_files import parts
from ml_platform.engine.staging import stage
from ml_platform.errors import BindingError, DeclarationError, PlatformError, ServiceError, SourceError
from ml_platform.records.table import Location
from ml_platform.testing import shop
from ml_platform.testing.project import Project
from resources.embedded.lakehouse import EmbeddedLakehouse

BOMB = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, shop.FILES)


def _refused(project: Project, kind: type[PlatformError] = DeclarationError) -> str:
    """What is said, where nothing loads; nothing of the home was made."""
    with pytest.raises(kind) as refused:
        assert project.definitions
    assert not (project.root.parent / "home" / "test").exists()
    return str(refused.value)


def test_a_yaml_bomb_in_a_declaration_is_refused(project: Project) -> None:
    project.write("gold/totals/defs.yaml", BOMB)
    assert "gold/totals/defs.yaml: the file is no declaration, for it holds more than 20,000 values" in _refused(
        project
    )


def test_a_yaml_bomb_in_a_domain_is_refused(project: Project) -> None:
    project.write("domain.yaml", BOMB)
    assert "the file is no domain, for it holds more than 20,000 values" in _refused(project)


def test_a_yaml_bomb_in_a_profile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local.yaml").write_text(BOMB)
    monkeypatch.setattr(binding, "profile_path", lambda: tmp_path / "local.yaml")
    with pytest.raises(BindingError, match=r"local\.yaml is no profile, for it holds more than 20,000 values"):
        binding.bindings()


def test_a_template_that_would_tell_the_environment_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "canary-1")
    project.change("gold/totals/defs.yaml", "description: ", 'description: "{{ env.SECRET }}" #')
    said = _refused(project)
    assert "gold/totals/defs.yaml:4: a text holds '{{'" in said
    assert "canary-1" not in said


@pytest.mark.parametrize("name", ["totals; DROP TABLE x", 'a"b', "a-b", "a b", "ü", "1a"])
def test_an_asset_whose_name_is_a_query_is_refused(project: Project, name: str) -> None:
    (project.root / "gold" / "totals").rename(project.root / "gold" / name)
    assert "is no name for an asset" in _refused(project)


@pytest.mark.parametrize(
    "predicate",
    [
        "orders > 0; DROP TABLE x",
        "(SELECT 1) = 1",
        "orders > 0) --",
        "getenv('SECRET') = 'x'",
        "read_text('/etc/passwd')",
    ],
)
def test_a_predicate_that_is_more_than_one_is_refused(project: Project, predicate: str) -> None:
    path = project.root / "gold" / "totals" / "defs.yaml"
    project.write("gold/totals/defs.yaml", f"{path.read_text()}  expect:\n    - sql: {json.dumps(predicate)}\n")
    assert "gold/totals/defs.yaml" in _refused(project)


@pytest.mark.parametrize("key", ["../../etc", "silver/../../x", "..", "a\0b"])
def test_a_key_that_leads_out_of_the_lakehouse_is_none(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="leads out of where it is kept"):
        EmbeddedLakehouse(str(tmp_path)).table(key)


class Store:
    """A lakehouse whose files are in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, key: str) -> Location:
        return Location(key, str(self._folder))

    def table(self, key: str) -> Location:
        raise NotImplementedError


@pytest.mark.parametrize("name", ["../out.csv", "a/../../out.csv", "/out.csv", "a\\..\\out.csv", "a//out.csv"])
def test_a_landed_name_that_leads_out_of_its_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # given an object store, which takes any name for a key
    monkeypatch.setattr("ml_platform.engine.landed.paths", lambda *_, **__: [name])
    with pytest.raises(SourceError, match="leads out of its folder"):
        land("landing/x", str(tmp_path), name, Store(tmp_path / "landed"))
    assert list((tmp_path / "landed").iterdir()) == []


@pytest.mark.parametrize("path", ["../../secret.parquet", "/etc/secret.parquet", "s3://other/secret.parquet"])
def test_a_log_that_names_a_file_of_somebody_else_is_refused(tmp_path: Path, path: str) -> None:
    location = Location("silver/x", str(tmp_path / "x"))
    _commit(location, 0)
    log = tmp_path / "x" / "_delta_log" / f"{0:020}.json"
    (file,) = delta.existing(location).files
    log.write_text(log.read_text().replace(file.path, path))
    with pytest.raises(ServiceError, match="that is not its own"):
        delta.existing(location)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.pkl", b""),
        ("deep/model.joblib", b"anything"),
        ("weights.bin", b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00."),
    ],
)
def test_a_pickle_in_a_package_is_refused_whatever_it_is_called(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PlatformError, match="is a pickle, but a model package holds none"):
        require_no_pickle(tmp_path)


@pytest.fixture
def bombed(project: Project) -> Project:
    """The shop, with a decompression bomb among what has landed."""
    shop.land(project.lakehouse)
    bomb = gzip.compress(b"order_id,store,day,amount,returned,event_time,known_at\n" + b"," * (70 * 2**20), 1)
    target = project.land(shop.LANDING, "orders/2024-05.csv", "")
    target.with_suffix(".csv.gz").write_bytes(bomb)
    target.unlink()
    project.change("bronze/orders/defs.yaml", "orders/*.csv", "orders/*.gz")
    assert project.definitions
    return project


def test_a_decompression_bomb_that_landed_commits_nothing(bombed: Project) -> None:
    ran = bombed.run('key:"bronze/orders"', shop.EVERYTHING)
    assert not ran.success
    assert "decompresses to more than 100 times" in ran.failures["bronze/orders"]
    assert delta.snapshot(bombed.lakehouse.table("bronze/orders")) is None


# What follows damages files: flips bits, cuts, drops, repeats, swaps, inserts what is no text.

COLUMNS = {"id": "int64", "store": "string", "amount": "float64", "day": "date", "paid": "boolean"}
ROWS: list[dict[str, Any]] = [
    {"id": n, "store": ("north", "süd", "west, far")[n % 3], "amount": n * 1.25, "day": f"2024-01-{n + 1:02}"}
    | {"paid": n % 2 == 0}
    for n in range(12)
]


def _csv() -> bytes:
    text = io.StringIO()
    written = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    written.writeheader()
    written.writerows({**row, "paid": str(row["paid"]).lower()} for row in ROWS)
    return text.getvalue().encode()


def _jsonl() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def _parquet() -> bytes:
    typed = [{**row, "day": dt.date.fromisoformat(row["day"])} for row in ROWS]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(typed), file, compression="none", write_page_checksum=True)
    return file.getvalue()


def _mutated(content: bytes, chance: random.Random) -> bytes:
    kind = chance.choice(["flip", "cut", "garbage", "insert", "drop", "repeat", "swap"])
    mutable, at = bytearray(content), chance.randrange(len(content))
    if kind == "flip":
        mutable[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del mutable[at:]
    elif kind == "garbage":
        mutable[at : at + 3] = chance.randbytes(chance.randint(1, 4))
    elif kind == "insert":
        mutable[at:at] = chance.choice([b"\0", b"\xff\xfe", b'"', b"\n", b"\r", b",", b"\xc3"])
    else:
        return _lines_mutated(kind, content.splitlines(keepends=True), chance)
    return bytes(mutable)


def _lines_mutated(kind: str, lines: list[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(lines))
    if kind == "drop":
        del lines[at]
    elif kind == "repeat":
        lines.insert(at, lines[at])
    else:
        fields = lines[at].split(b",")
        fields[0], fields[-1] = fields[-1], fields[0]
        lines[at] = b",".join(fields)
    return b"".join(lines)


def _said_csv(content: bytes, path: Path) -> list[dict[str, Any]]:
    """By Python's own reader; a byte that is no text makes a value that nothing typed equals."""
    lines = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))
    return [dict(zip(lines[0], line, strict=False)) for line in lines[1:] if line]


def _said_jsonl(content: bytes, path: Path) -> list[dict[str, Any]]:
    found = []
    for line in content.split(b"\n"):
        if line.strip():
            try:
                row = json.loads(line.decode())
            except ValueError:
                row = {}
            found.append(row if isinstance(row, dict) else {})
    return found


def _said_parquet(content: bytes, path: Path) -> list[dict[str, Any]]:
    """By DuckDB's reader; what was written, where that refuses a footer whose pages pass their checksums."""
    import duckdb

    with duckdb.connect() as connection:
        try:
            cursor = connection.execute(f"SELECT * FROM read_parquet('{path}')")
        except duckdb.Error:
            return ROWS
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _typed(row: dict[str, Any]) -> dict[str, Any] | None:
    """What the row says by its declaration; None where it says nothing that has these types."""
    as_type: dict[str, Callable[[Any], Any]] = {
        "int64": int,
        "float64": float,
        "date": lambda it: dt.date.fromisoformat(it) if isinstance(it, str) else it,
        "boolean": lambda it: {"true": True, "false": False}[it] if isinstance(it, str) else it,
        "string": str,
    }
    try:
        return {
            name: None if row.get(name) in (None, "") else as_type[kind](row[name]) for name, kind in COLUMNS.items()
        }
    except (ValueError, KeyError, TypeError):
        return None


# What pyarrow calls for a line of another length raises by itself where the line is no text; the file is refused then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("kind", "whole", "said"),
    [("csv", _csv(), _said_csv), ("jsonl", _jsonl(), _said_jsonl), ("parquet", _parquet(), _said_parquet)],
)
def test_of_125_damaged_sources_none_gives_what_it_does_not_say(
    tmp_path: Path, kind: str, whole: bytes, said: Callable[[bytes, Path], list[dict[str, Any]]]
) -> None:
    files, path = filesystem(Location("landing/x", str(tmp_path))), tmp_path / f"x.{kind}"
    became: Counter[str] = Counter()
    for seed in range(125):
        path.write_bytes(_mutated(whole, random.Random(f"{kind} {seed}")))  # noqa: S311
        try:
            read = list(parts(files, path.name, COLUMNS, refused=set()))
        except SourceError:
            became["refused"] += 1
            continue
        taken = [row for part in read for row in part.rows.to_pylist()]
        misfits = sum(len(part.misfits) for part in read)
        rows = said(path.read_bytes(), path)
        # rows in = rows out + rows quarantined, and each that is taken stands in the file, in its order
        assert len(taken) + misfits == len(rows), (kind, seed)
        following = iter([_typed(row) for row in rows])
        assert all(any(row == other for other in following) for row in taken), (kind, seed)
        became["quarantined" if misfits else "as it says"] += 1
    assert became.total() == 125
    assert became["refused"] + became["quarantined"] > 60


def _commit(location: Location, number: int) -> None:
    rows = pa.table({"id": [3 * number + n for n in range(3)], "store": ["a", "b", "c"]})
    before = delta.snapshot(location)
    staged = stage(rows.to_batches(), rows.schema, location)
    gone = before.files[:1] if before and number == 3 else ()
    delta.commit(staged, read=before, replaced=gone, transactions={"made": number}, evidence={"number": number})


def _told(location: Location) -> tuple[Any, ...]:
    found = delta.existing(location)
    return (
        sorted(map(str, delta.read_rows(found).to_pylist())),
        found.rows,
        found.schema,
        delta.transaction(location, "made"),
    )


def _damage(folder: Path, chance: random.Random) -> None:
    """One file of a table, of its data or its log, is another one, or gone."""
    path = chance.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size))
    kind = chance.choice(["flip", "cut", "delete", "drop", "repeat"])
    content = bytearray(path.read_bytes())
    if kind == "delete":
        path.unlink()
    elif kind in ("drop", "repeat"):
        path.write_bytes(_lines_mutated(kind, bytes(content).splitlines(keepends=True), chance))
    elif kind == "cut":
        path.write_bytes(content[: chance.randrange(len(content))])
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def test_of_125_damaged_tables_none_gives_other_rows_without_the_audit_saying_so(tmp_path: Path) -> None:
    whole = Location("silver/x", str(tmp_path / "whole"))
    for number in range(4):
        _commit(whole, number)
    assert audit(whole, (), recorded=3).findings == ()
    became: Counter[str] = Counter()
    for seed in range(125):
        location = Location("silver/x", str(tmp_path / "damaged"))
        shutil.rmtree(location.uri, ignore_errors=True)
        shutil.copytree(whole.uri, location.uri)
        _damage(Path(location.uri), random.Random(f"delta {seed}"))  # noqa: S311
        try:
            if audit(location, (), recorded=3).findings:
                became["found by the audit"] += 1
                continue
            assert _told(location) == _told(whole), seed
        except PlatformError:
            became["refused"] += 1
            continue
        became["the same"] += 1  # what was damaged is for people, as the moment of a commit
    assert became.total() == 125
    assert became["found by the audit"] > 60
