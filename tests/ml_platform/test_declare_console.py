from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES

AT = datetime(2024, 1, 2, 8, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"id": "007", "on": 5, "share": 1.0, "open": True, "note": None, "event_time": AT, "known_at": AT},
    {"id": "12", "on": None, "share": 2.5, "open": False, "note": None, "event_time": AT, "known_at": AT},
]


def line(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def csv() -> bytes:
    told = [[field(value) for value in line(row).values()] for row in ROWS]
    return "\n".join([",".join(ROWS[0]), *(",".join(fields) for fields in told), ""]).encode()


def field(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def json_lines() -> bytes:
    return "".join(json.dumps(line(row)) + "\n" for row in ROWS).encode()


def parquet() -> bytes:
    written = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), written)
    return bytes(written.getvalue())


CONTENTS = {
    "stock/a.csv": csv,
    "stock/a.csv.gz": lambda: gzip.compress(csv()),
    "stock/a.jsonl": json_lines,
    "stock/a.parquet": parquet,
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, {"domain.yaml": FILES["domain.yaml"]})


@pytest.fixture
def landed(project: Project) -> Path:
    """Where files land."""
    folder = Path(project.lakehouse.files("landing/shop").uri)
    (folder / "stock").mkdir(parents=True)
    return folder


def declare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["declare", *map(str, arguments)])


@pytest.mark.parametrize("path", CONTENTS)
def test_what_is_written_loads_and_ingests_the_same_files(project: Project, landed: Path, path: str) -> None:
    # given a landed file, and its declaration, as written
    (landed / path).write_bytes(CONTENTS[path]())
    into = project.root / "bronze" / "stock"
    result = declare(landed / path, "--folder", landed, "--landing", "landing/shop", "--into", into)
    assert (result.exit_code, result.output) == (0, f"{into / 'defs.yaml'} is written\n")
    # when the source is made
    ran = project.run("*")
    # then its table holds every row as it was
    assert ran.success, ran.failures
    assert [{name: row[name] for name in ROWS[0]} for row in project.rows("bronze/stock")] == ROWS
    assert yaml.safe_load((into / "defs.yaml").read_text())["attributes"]["files"] == path.replace("/a", "/*")


def test_a_declaration_says_what_the_files_do_not_tell(landed: Path) -> None:
    (landed / "stock" / "a.csv").write_bytes(csv())
    assert declare(landed / "stock" / "a.csv").stdout == (
        "type: ml_platform.components.Source\n"
        "\n"
        "attributes:\n"
        "  description: A row of *.csv, as it landed.\n"
        "  landing: '?'  # the asset key of the landing that brings the files\n"
        "  files: '*.csv'\n"
        "  columns:\n"
        "    id: string\n"
        "    'on': int64\n"
        "    share: float64\n"
        "    open: boolean\n"
        "    note: string  # no value in the sample\n"
        "    event_time: timestamp\n"
        "    known_at: timestamp\n"
        "  event_time: event_time\n"
        "  known_at: known_at\n"
    )


@pytest.mark.parametrize(
    ("header", "event_time", "known_at"),
    [
        ("event_time,known_at,shipped", "event_time", "known_at"),
        ("shipped", "shipped", "?"),
        ("shipped,known_at", "shipped", "known_at"),
        ("shipped,ordered", "?", "?"),
        ("known_at", "?", "known_at"),
    ],
)
def test_a_time_is_proposed_only_where_it_is_obvious(
    tmp_path: Path, header: str, event_time: str, known_at: str
) -> None:
    moments = ",".join(["2024-01-02T08:00:00Z"] * len(header.split(",")))
    (tmp_path / "a.csv").write_text(f"{header},n\n{moments},1\n")
    found = yaml.safe_load(declare(tmp_path / "a.csv").stdout)["attributes"]
    assert (found["event_time"], found["known_at"]) == (event_time, known_at)


def test_definitions_do_not_load_with_what_is_left_open(project: Project, landed: Path) -> None:
    (landed / "stock" / "a.csv").write_text("n,day\n1,2024-01-02\n")
    into = project.root / "bronze" / "stock"
    assert declare(landed / "stock" / "a.csv", "--folder", landed, "--into", into).exit_code == 0
    for field, value in (("landing", "landing/shop"), ("known_at", "day")):
        with pytest.raises(DeclarationError, match=rf"bronze/stock/defs\.yaml: {field} is '\?', but that is for"):
            _ = project.definitions
        project.change("bronze/stock/defs.yaml", f"{field}: '?'", f"{field}: {value}")
    assert project.run("*").success


def test_rows_that_no_type_takes_are_quarantined_with_a_word(project: Project, landed: Path) -> None:
    (landed / "stock" / "a.jsonl").write_text('{"day": "2024-01-02", "m": 3460}\n{"day": "2024-01-03", "m": "long"}\n')
    into = project.root / "bronze" / "stock"
    path = landed / "stock" / "a.jsonl"
    assert declare(path, "--folder", landed, "--landing", "landing/shop", "--into", into).exit_code == 0
    text = (into / "defs.yaml").read_text()
    assert "m: string  # the sample has int64, string; what is no text is quarantined\n" in text
    project.change("bronze/stock/defs.yaml", "known_at: '?'", "known_at: day")
    assert project.run("*").success
    assert [row["m"] for row in project.rows("bronze/stock")] == ["long"]
    assert [row["source_offset"] for row in project.rows("bronze/stock__quarantine")] == [0]


def test_a_decimal_is_kept_to_the_digit(project: Project, landed: Path) -> None:
    price = Decimal("1234567890123.45")
    table = pa.table({"day": pa.array([AT.date()]), "price": pa.array([price], pa.decimal128(15, 2))})
    pq.write_table(table, landed / "stock" / "a.parquet")
    into = project.root / "bronze" / "stock"
    path = landed / "stock" / "a.parquet"
    declare(path, "--folder", landed, "--landing", "landing/shop", "--into", into)
    project.change("bronze/stock/defs.yaml", "known_at: '?'", "known_at: day")
    ran = project.run("*")
    assert ran.success, ran.failures
    assert [row["price"] for row in project.rows("bronze/stock")] == [price]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_column_of_any_name_is_written_so_that_it_is_read(tmp_path: Path, kind: str) -> None:
    names = ["k\nl", "\ttab", "e: # f", "'\"", "?", "\x85", "", "é"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    content = f"{header}\n1{',1' * 7}\n" if kind == "csv" else json.dumps(dict.fromkeys(names, 1)) + "\n"
    (tmp_path / f"a.{kind}").write_text(content)
    result = declare(tmp_path / f"a.{kind}")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["attributes"]["columns"] == dict.fromkeys(names, "int64")


def test_what_stands_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n\n1\n")
    (tmp_path / "defs.yaml").write_text("mine")
    result = declare(tmp_path / "a.csv", "--into", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {tmp_path / 'defs.yaml'} is to be written, but it stands already")
    assert (tmp_path / "defs.yaml").read_text() == "mine"


def test_wrong_input_is_one_error_and_exits_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("x")
    (tmp_path / ".a.csv").write_text("n\n1\n")
    for arguments, said in (
        ([tmp_path / "b.csv"], "b.csv is to be sampled, but there is no such file"),
        ([tmp_path], f"{tmp_path} is to be sampled, but there is no such file"),
        ([tmp_path / "a.xlsx"], "compressed. Say --format."),
        ([tmp_path / ".a.csv"], ".a.csv is to be sampled, but it is hidden: *.csv does not match it. Rename it."),
        ([tmp_path / "a.xlsx", "--folder", tmp_path / "b"], f"a.xlsx is to be sampled, but it is not in {tmp_path}/b"),
    ):
        result = declare(*arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert said in result.stderr
    assert declare().exit_code == 2


def test_a_format_may_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("n\n1\n")
    found = yaml.safe_load(declare(tmp_path / "a.log", "--format", "csv").stdout)["attributes"]
    assert (found["format"], found["files"], found["columns"]) == ("csv", "*.log", {"n": "int64"})


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["x/a.csv.gz", "x/b.csv.gz"], "x/*.csv.gz"),
        (["x/a.csv", "x/b.csv.gz"], "x/*.csv*"),
        (["x/2024.01.csv", "x/2024.02.csv"], "x/*.csv"),
        (["x/a.csv", "y/b.csv"], "**/*.csv"),
        (["a.csv", "y/b.csv"], "**/*.csv"),
        (["x/a.jsonl", "x/b.ndjson"], "x/*"),
        (["x[1]/a.csv"], "x[[]1]/*.csv"),
        ([".x/a.csv"], ".x/*.csv"),
    ],
)
def test_the_pattern_matches_what_comes_to_lie_beside_the_files(tmp_path: Path, names: list[str], pattern: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        content = b'{"n": 1}\n' if "json" in name else b"n\n1\n"
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    paths = [tmp_path / name for name in names]
    assert yaml.safe_load(declare(*paths, "--folder", tmp_path).stdout)["attributes"]["files"] == pattern
