"""What is told of logs that cannot be read. Which versions can be is looked for in `test_delta_log.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError

from ml_platform.engine.log_errors import table_at, unreached, unreadable
from ml_platform.records.table import Location


class PanicException(BaseException):
    """What a panic of the library arrives as."""


@pytest.mark.parametrize(("raised", "arrives"), [(PanicException, DeltaError), (OSError, OSError), (SystemExit,) * 2])
def test_a_panic_is_an_error_of_the_librarys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], arrives: type[BaseException]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise raised("called unwrap\non an Err value")

    monkeypatch.setattr("deltalake.DeltaTable", broken)
    with pytest.raises(arrives, match="called unwrap"):
        table_at(Location("a/b", str(tmp_path)))


def test_a_store_that_does_not_give_is_told_in_one_line(tmp_path: Path) -> None:
    said = str(unreached(Location("a/b", str(tmp_path)), OSError("Generic error\n  \x1b[31m↳\x1b[0m no\n    route")))
    assert said == (
        "the log of the table a/b cannot be read, but every read goes through it: Generic error no route. "
        f"See that {tmp_path} can be reached and read."
    )


def test_nothing_can_be_read_where_nothing_can_be_listed(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("no folder")
    assert "No version of it can be read" in str(unreadable(Location("a/b", str(tmp_path / "table")), "torn"))
