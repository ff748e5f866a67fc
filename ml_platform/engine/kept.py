"""What was worked out before: answers to questions, kept in one file between processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

# Questions that nobody asks any more stay in the file; one of this size is begun anew.
_MOST_BYTES = 32 * 1024 * 1024


class Kept:
    """Answers by what was asked; only what was never asked before is worked out.

    path: of the file; its folder is made when it is missing. Any number of processes may use one: an answer is a line
    with a digest, appended in one write. A line that was damaged is not believed, its answer is worked out anew; where
    nothing can be written everything is worked out each time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def answer(self, asked: Any, work_out: Callable[[], Any]) -> Any:
        """The answer as JSON has it. asked: JSON as well, of everything that the answer depends on."""
        question = _digest(json.dumps(asked))
        said = self._said.get(question)
        if said is None:
            said = self._said[question] = json.dumps(work_out())
            self._append(f"{question} {_digest(question + said)} {said}\n")
        return json.loads(said)

    @cached_property
    def _said(self) -> dict[str, str]:
        """Question → answer of every line that is whole; of two the later."""
        found = {}
        for line in self._lines():
            question, _, rest = line.partition(" ")
            digest, _, said = rest.partition(" ")
            if digest == _digest(question + said):
                found[question] = said
        return found

    def _lines(self) -> list[str]:
        with suppress(OSError):
            if self._path.stat().st_size <= _MOST_BYTES:
                return self._path.read_bytes().decode(errors="replace").split("\n")
            self._path.unlink(missing_ok=True)
        return []

    def _append(self, line: str) -> None:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
