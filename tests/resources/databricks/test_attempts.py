from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.records.job import JobSpec
from resources.databricks.attempts import PROGRAM, Attempt, Attempts
from resources.databricks.volume import Volume
from resources.databricks.workspace import Workspace


@pytest.fixture
def volume(catalog: str, prefix: str) -> Volume:
    return Volume(Workspace(), f"/Volumes/{catalog}/ml_platform/ml_platform/{prefix}/jobs")


def test_the_last_attempt_is_found_with_its_run(volume: Volume, tmp_path: Path) -> None:
    attempts = Attempts(volume)
    assert attempts.last("late") is None
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    spec = JobSpec("late", "score", {"a": 1}, {"model": str(tmp_path / "model")})
    for number in (1, 2):
        attempts.prepare(Attempt("late", number, f"f{number}"), spec)
    second = Attempt("late", 2, "f2")
    assert attempts.last("late") == second
    assert volume.get(f"{second.folder}/order/folders/model/weights") == b"1"
    assert attempts.run_of(second) is None
    attempts.submitted(second, "17")
    assert attempts.run_of(second) == "17"


def test_an_attempt_whose_order_is_not_whole_does_not_count(volume: Volume) -> None:
    attempts = Attempts(volume)
    attempts.prepare(Attempt("late", 1, "f1"), JobSpec("late", "fit", {}))
    volume.put("late/0002-f2/order/order.json", b"{}")
    assert attempts.last("late") == Attempt("late", 1, "f1")
    assert not volume.holds(f"late/0002-f2/{PROGRAM}")


def test_tokens_are_as_long_as_the_service_takes_and_differ() -> None:
    tokens = {Attempt(name, number, "f").token for name in ("a", "b") for number in (1, 2)}
    assert len(tokens) == 4
    assert {len(token) for token in tokens} == {64}
