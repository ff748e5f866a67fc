from __future__ import annotations

import json
from pathlib import Path

from ml_platform.engine.notices import FILE, tell
from ml_platform.records.notice import Delivery
from ml_platform.testing.notifier import NOTICE


class RefusedError(Exception):
    code = "no_such_channel"


def _refuses(_: object) -> None:
    raise RefusedError("https://example.org/secret")


def _lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_one_channel_s_failure_is_written_by_its_code_and_keeps_no_other_from_telling(tmp_path: Path) -> None:
    told: list[str] = []
    done = tell(tmp_path, NOTICE, {"chat": _refuses, "mail": lambda it: told.append(it.id)})
    assert done == [
        Delivery("log", delivered=True),
        Delivery("chat", delivered=False, fault="RefusedError no_such_channel"),
        Delivery("mail", delivered=True),
    ]
    (line,) = _lines(tmp_path)
    assert line["channels"] == {"log": "delivered", "chat": "RefusedError no_such_channel", "mail": "delivered"}
    # and told again, only what did not arrive is tried
    tell(tmp_path, NOTICE, {"chat": lambda it: told.append("chat"), "mail": lambda it: told.append(it.id)})
    assert told == [NOTICE.id, "chat"]
    tell(tmp_path, NOTICE, {"chat": _refuses, "mail": _refuses})
    assert len(_lines(tmp_path)) == 2


def test_folder_that_cannot_be_written_keeps_nobody_from_being_told(tmp_path: Path) -> None:
    (tmp_path / "notices").write_text("a file where the folder belongs")
    told: list[object] = []
    log, one = tell(tmp_path / "notices", NOTICE, {"chat": told.append})
    assert (log.delivered, one.delivered, told) == (False, True, [NOTICE])


def test_torn_line_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"id": "a1", "channels": {"log": "deli\n')
    assert tell(tmp_path, NOTICE, {})[0].delivered
    assert len((tmp_path / FILE).read_text().splitlines()) == 2
