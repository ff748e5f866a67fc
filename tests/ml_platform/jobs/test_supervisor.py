from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil
import pytest

from ml_platform.jobs.supervisor import alive, end_group, last_line, supervise

_STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("program", "state", "reason"),
    [
        ("print('done')", "succeeded", ""),
        ("import sys; sys.exit('label is constant.')", "failed", "label is constant."),
        ("import sys; sys.exit(3)", "failed", "the program ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "the program was ended by SIGKILL."),
        ("[][1]", "failed", "IndexError: list index out of range"),
    ],
)
def test_end_of_the_program_is_recorded_with_its_reason(tmp_path, program, state, reason):
    supervise(tmp_path, [sys.executable, "-c", program])
    record = json.loads((tmp_path / "status.json").read_text())
    assert (record["state"], record["reason"]) == (state, reason)


def test_events_are_stamped_and_other_lines_are_logs(tmp_path):
    program = 'print(\'{"kind": "metric", "text": "auc", "value": 0.7}\\nhello\\n[1]\')'
    supervise(tmp_path, [sys.executable, "-c", program])
    said = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(event["kind"], event["text"], event["value"]) for event in said] == [
        ("metric", "auc", 0.7),
        ("log", "hello", None),
        ("log", "[1]", None),
    ]
    assert all(event["time"].endswith("+00:00") for event in said)


def test_process_is_known_by_number_and_start():
    me = psutil.Process()
    assert alive(me.pid, me.create_time())
    assert not alive(me.pid, me.create_time() - 60)


def test_group_ends_though_a_member_ignores_the_request(monkeypatch):
    monkeypatch.setattr("ml_platform.jobs.supervisor._GRACE_SECONDS", 0.3)
    with subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        end_group(leader.pid, psutil.Process(leader.pid).create_time())
        assert leader.wait(10) is not None
    assert psutil.pid_exists(os.getpid())


def test_group_of_another_process_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        started = psutil.Process(other.pid).create_time()
        # The number was ours once, an hour from now: whoever has it today is not of our job.
        end_group(other.pid, started + 3600)
        assert other.poll() is None
        other.communicate(b"\n")


def test_last_line_is_the_last_that_says_something(tmp_path):
    assert last_line(tmp_path / "nothing") == ""
    (tmp_path / "log").write_text("first\nlast\n\n  \n")
    assert last_line(tmp_path / "log") == "last"
