from __future__ import annotations

import os
from pathlib import Path

import pytest

from resources.embedded.log_file import LogFile, last_line, segments


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_new_day_sets_the_file_aside_by_the_places_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "delay.jsonl"
    log = LogFile(path, sync_seconds=1.0)
    log.append(b"1\n2\n", "2014-01-01")
    log.append(b"3\n", "2014-01-02")
    log.append(b"4\n", "2014-01-03")
    assert [(one.start, one.end, lines(one.path)) for one in segments(path)] == [(0, 2, [b"1", b"2"]), (2, 3, [b"3"])]
    assert lines(path) == [b"4"]
    # a line of the day before, which came late, opens no file
    log.append(b"5\n", "2014-01-02")
    assert lines(path) == [b"4", b"5"]


def test_writer_follows_a_file_that_another_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "delay.jsonl"
    one, other = LogFile(path, 1.0), LogFile(path, 1.0)
    one.append(b"1\n", "2014-01-01")
    other.set_aside(lambda line: line == b"1\n")
    one.append(b"2\n", "2014-01-01")
    assert (lines(segments(path)[0].path), lines(path)) == ([b"1"], [b"2"])
    other.set_aside(lambda line: line == b"1\n")
    assert lines(path) == [b"2"]


def test_disk_has_what_was_appended_within_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a disk that counts
    synced: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    log = LogFile(tmp_path / "delay.jsonl", sync_seconds=3600.0)
    log.append(b"1\n", "2014-01-01")
    monkeypatch.setattr(os, "fsync", counted)
    # when lines come, none waits for it
    log.append(b"2\n", "2014-01-01")
    assert synced == []
    assert log.lag_seconds() > 0
    log.sync()
    assert (synced, log.lag_seconds()) == ([4], 0.0)
    log.sync()
    assert synced == [4]
    # and with 0.0 each does
    careful = LogFile(tmp_path / "careful.jsonl", sync_seconds=0.0)
    careful.append(b"1\n", "2014-01-01")
    assert synced[-1] == 2
    assert careful.lag_seconds() == 0.0


def test_last_line_is_found_however_long_it_is(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1\n" + b"2" * 200_000 + b"\n")
    assert last_line(tmp_path / "one") == b"2" * 200_000 + b"\n"
    (tmp_path / "none").write_bytes(b"")
    assert last_line(tmp_path / "none") == b""
