from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform.engine import kept
from ml_platform.engine.kept import Kept


class Asked:
    """Works answers out, and remembers which."""

    def __init__(self) -> None:
        self.worked_out: list[object] = []

    def of(self, path: Path, *questions: object) -> list[object]:
        """The answers of one process: a question's text with a mark behind it."""
        one = Kept(path)
        return [one.answer(question, lambda question=question: self._work_out(question)) for question in questions]

    def _work_out(self, question: object) -> str:
        self.worked_out.append(question)
        return f"{question}!"


def test_what_was_asked_before_is_not_worked_out_again(tmp_path: Path) -> None:
    asked = Asked()
    assert asked.of(tmp_path / "new" / "kept.txt", "a", "b", "a") == ["a!", "b!", "a!"]
    assert asked.of(tmp_path / "new" / "kept.txt", "b", "c") == ["b!", "c!"]
    assert asked.worked_out == ["a", "b", "c"]


def test_a_false_answer_is_not_kept(tmp_path: Path) -> None:
    def fails() -> object:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        Kept(tmp_path / "kept.txt").answer("a", fails)
    assert Asked().of(tmp_path / "kept.txt", "a") == ["a!"]


@pytest.mark.parametrize(
    "damaged",
    [
        lambda line: line.replace(b"b!", b"c!"),
        lambda line: line[:-4],
        lambda line: b"\xff\x00" + line,
        lambda line: line[33:],
        lambda line: line.replace(line[:8], b"00000000"),
        lambda _: b"{}\n",
    ],
)
def test_a_damaged_answer_is_worked_out_anew_and_the_others_stand(tmp_path: Path, damaged: object) -> None:
    # given three answers, the second of them damaged
    path, asked = tmp_path / "kept.txt", Asked()
    asked.of(path, "a", "b", "c")
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damaged(second) + third)  # type: ignore[operator]
    asked.worked_out.clear()
    # then it alone is worked out, once and for all; what ran into its torn line goes with it
    assert asked.of(path, "a", "b", "c") == ["a!", "b!", "c!"]
    assert asked.worked_out in (["b"], ["b", "c"])
    asked.worked_out.clear()
    assert asked.of(path, "a", "b", "c") == ["a!", "b!", "c!"]
    assert asked.worked_out == []


def test_where_nothing_can_be_written_everything_is_worked_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asked = Asked()
    for _ in range(2):
        assert asked.of(tmp_path / "file" / "kept.txt", "a", "a") == ["a!", "a!"]
    assert asked.worked_out == ["a", "a"]


def test_a_file_that_has_grown_too_large_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "kept.txt", Asked()
    asked.of(path, *range(100))
    monkeypatch.setattr(kept, "_MOST_BYTES", 1000)
    assert asked.of(path, 1) == ["1!"]
    assert asked.worked_out.count(1) == 2
    assert path.stat().st_size < 1000


def test_processes_that_ask_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    # given four processes that each keep long answers to questions of their own and to common ones
    program = (
        "import sys; from pathlib import Path; from ml_platform.engine.kept import Kept\n"
        "own, path = sys.argv[1], Path(sys.argv[2])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "one = Kept(path)\n"
        "for number in range(200):\n"
        "    for question in (own + str(number), str(number)):\n"
        "        assert one.answer(question, lambda: question * 500) == question * 500\n"
    )
    path = tmp_path / "kept.txt"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, own, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for own in "abcd"
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in running] == [0] * 4
    # then each of their answers stands
    asked = Asked()
    questions = [f"{own}{number}" for own in ("a", "b", "c", "d", "") for number in range(200)]
    assert asked.of(path, *questions) == [question * 500 for question in questions]
    assert asked.worked_out == []
