from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml_platform.errors import ServiceError
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.prediction_log import ServedLogContract, served
from resources.embedded.prediction_log import EmbeddedPredictionLog

ROOT = Path(__file__).parents[3]


class TestEmbeddedPredictionLog(ServedLogContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], EmbeddedPredictionLog]:
        return lambda: EmbeddedPredictionLog(str(tmp_path / "log"))

    @pytest.fixture
    def binding(self, tmp_path: Path) -> ServiceBinding:
        folder = {"folder": str(tmp_path / "log")}
        return ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", folder)


@pytest.fixture
def log(tmp_path: Path) -> EmbeddedPredictionLog:
    return EmbeddedPredictionLog(str(tmp_path))


@pytest.mark.parametrize("tail", [b'{"request_id": "torn', b"\0" * 70_000, b'{"request_id": "torn\n'])
def test_torn_last_line_is_skipped_and_cut_off_by_the_next_append(
    log: EmbeddedPredictionLog, tmp_path: Path, tail: bytes
) -> None:
    # given a write that was lost in its middle
    log.append([served(1)])
    with (tmp_path / "delay.jsonl").open("ab") as file:
        file.write(tail)
    # then what was acknowledged stands alone, and the next record follows it
    assert list(log.since("delay", 0, 10)[0]) == [served(1)]
    log.append([served(2)])
    assert list(log.since("delay", 0, 10)[0]) == [served(1), served(2)]
    assert (tmp_path / "delay.jsonl").read_bytes().count(b"\n") == 2


def test_only_record_torn_leaves_an_empty_log(log: EmbeddedPredictionLog, tmp_path: Path) -> None:
    (tmp_path / "delay.jsonl").write_bytes(b'{"request')
    assert log.since("delay", 0, 10) == ([], 0)
    log.append([served(1)])
    assert list(log.since("delay", 0, 10)[0]) == [served(1)]


def test_record_longer_than_a_block_is_kept(log: EmbeddedPredictionLog) -> None:
    long = served(1, note="x" * 200_000)
    log.append([long])
    log.append([served(2)])
    assert list(log.since("delay", 0, 10)[0]) == [long, served(2)]


def test_damaged_line_in_the_middle_is_named(log: EmbeddedPredictionLog, tmp_path: Path) -> None:
    log.append([served(1)])
    with (tmp_path / "delay.jsonl").open("ab") as file:
        file.write(b"not a record\n" + (tmp_path / "delay.jsonl").read_bytes())
    with pytest.raises(ServiceError, match=r"line 2 of .*delay.jsonl is no record"):
        log.since("delay", 0, 10)


def test_failed_write_leaves_the_log_as_it_was(log: EmbeddedPredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a disk that is full after the first bytes
    log.append([served(1)])
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) - 50])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(ServiceError, match="No space left"):
            log.append([served(2), served(3)])
    # then the log goes on as if nothing had been tried
    assert list(log.since("delay", 0, 10)[0]) == [served(1)]
    log.append([served(4)])
    assert list(log.since("delay", 0, 10)[0]) == [served(1), served(4)]


def test_numpy_values_are_plain_afterwards(log: EmbeddedPredictionLog) -> None:
    log.append([served(1, wind=np.float64(3.5), count=np.int64(2), gust=np.float64("nan"))])
    features = log.since("delay", 0, 1)[0][0].features
    assert (features["wind"], features["count"], features["gust"]) == (3.5, 2, None)


def test_output_that_is_no_number_stays_none(log: EmbeddedPredictionLog) -> None:
    log.append([replace(served(1), output=math.nan)])
    assert math.isnan(log.since("delay", 0, 1)[0][0].output)


@pytest.mark.parametrize("endpoint", ["../delay", "", "a/b", ".hidden"])
def test_endpoint_that_names_no_file_is_refused(log: EmbeddedPredictionLog, endpoint: str) -> None:
    with pytest.raises(ServiceError, match="its name becomes a file's"):
        log.append([served(1, endpoint=endpoint)])


WRITER = """
import sys
from ml_platform.testing.prediction_log import served
from resources.embedded.prediction_log import EmbeddedPredictionLog
log, first = EmbeddedPredictionLog(sys.argv[1]), int(sys.argv[2])
for number in range(first, first + int(sys.argv[3])):
    log.append([served(number), served(number)])
    print(number, flush=True)
"""


def writer(folder: Path, first: int, count: int) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", WRITER, str(folder), str(first), str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)


def test_processes_that_write_at_once_lose_and_mix_nothing(log: EmbeddedPredictionLog, tmp_path: Path) -> None:
    writers = [writer(tmp_path, first, 100) for first in (0, 1000, 2000)]
    assert [(process.communicate(), process.returncode)[1] for process in writers] == [0, 0, 0]
    records, cursor = log.since("delay", 0, 10_000)
    numbers = [int(record.request_id.removeprefix("request-")) for record in records]
    assert cursor == 600
    for first in (0, 1000, 2000):
        own = [number for number in numbers if first <= number < first + 1000]
        assert own == [number for number in range(first, first + 100) for _ in range(2)]


def test_kill_loses_no_acknowledged_record(log: EmbeddedPredictionLog, tmp_path: Path) -> None:
    process = writer(tmp_path, 0, 1_000_000)
    assert process.stdout is not None
    for _ in range(50):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    acknowledged = 50 + len(process.stdout.read().split(b"\n")) - 1
    process.stdout.close()
    process.wait()
    log.append([served(7)])
    records, _ = log.since("delay", 0, 10_000_000)
    numbers = {record.request_id for record in records}
    assert numbers >= {f"request-{number}" for number in range(acknowledged)}
    assert records[-1] == served(7)


def test_a_forgotten_record_keeps_its_place_and_says_no_more(log: EmbeddedPredictionLog, tmp_path: Path) -> None:
    # given three records, of which one is somebody's
    log.append([served(1), replace(served(2), inputs={"flight_id": "DL7"}), served(3)])
    size = (tmp_path / "delay.jsonl").stat().st_size
    # when it is forgotten, twice
    assert log.forget("delay", lambda record: record.inputs.get("flight_id") == "DL7") == 1
    assert log.forget("delay", lambda record: record.inputs.get("flight_id") == "DL7") == 0
    # then cursors are what they were
    records, cursor = log.since("delay", 1, 1)
    assert cursor == 2
    assert records == [replace(served(2), inputs={"flight_id": None}, features={}, views={})]
    assert log.since("delay", 2, 9) == ([served(3)], 3)
    assert (tmp_path / "delay.jsonl").stat().st_size == size
    assert b"DL7" not in (tmp_path / "delay.jsonl").read_bytes()
    assert log.forget("nobody", lambda _: True) == 0
