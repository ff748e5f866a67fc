from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine import sql, sql_files
from ml_platform.engine.lineage import Columns
from ml_platform.engine.sql_files import SqlFiles
from ml_platform.errors import DeclarationError

QUERY = "SELECT id, a + b AS n FROM s.x"
KNOWN = {"s/x": Columns({"id": (), "a": (), "b": ()})}
FOUND = Columns({"id": (("s/x", "id"),), "n": (("s/x", "a"), ("s/x", "b"))})


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are parsed from now on."""
    texts: list[str] = []
    parse = sql.parsed

    def counted(text: str, at: str) -> object:
        texts.append(text)
        return parse(text, at)

    monkeypatch.setattr(sql, "parsed", counted)
    return texts


def test_what_was_asked_before_is_not_parsed_again(tmp_path: Path, parsed: list[str]) -> None:
    for _ in range(2):
        files = SqlFiles(tmp_path)
        assert files.tables_read(QUERY, "q.sql") == ("s/x",)
        assert files.columns(QUERY, KNOWN, "q.sql") == FOUND
    assert parsed == [QUERY, QUERY]  # for its tables, and for its columns


def test_another_column_of_an_input_is_another_question(tmp_path: Path) -> None:
    files = SqlFiles(tmp_path)
    files.columns(QUERY, KNOWN, "q.sql")
    with pytest.raises(DeclarationError, match="it reads b"):
        files.columns(QUERY, {"s/x": Columns({"id": (), "a": ()})}, "q.sql")


@pytest.mark.parametrize("damage", ["", "{}", "0" * 32 + '\n["s/y"]'])
def test_a_damaged_entry_is_made_anew(tmp_path: Path, damage: str) -> None:
    SqlFiles(tmp_path).tables_read(QUERY, "q.sql")
    (entry,) = tmp_path.iterdir()
    entry.write_text(damage)
    assert SqlFiles(tmp_path).tables_read(QUERY, "q.sql") == ("s/x",)
    assert entry.read_text() != damage


def test_where_nothing_can_be_written_everything_is_parsed(tmp_path: Path, parsed: list[str]) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    assert [SqlFiles(folder).tables_read(QUERY, "q.sql") for _ in range(2)] == [("s/x",)] * 2
    assert parsed == [QUERY, QUERY]


def test_another_version_of_what_answers_is_asked_anew(
    tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    SqlFiles(tmp_path).tables_read(QUERY, "q.sql")
    monkeypatch.setattr(sql_files, "_makers", lambda: "another")
    SqlFiles(tmp_path).tables_read(QUERY, "q.sql")
    assert parsed == [QUERY, QUERY]
