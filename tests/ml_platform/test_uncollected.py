from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from ml_platform.uncollected import keep_modules, uncollected


def test_no_garbage_is_looked_for_meanwhile_and_then_again() -> None:
    assert gc.isenabled()
    found = []

    def load() -> None:
        found.append(gc.isenabled())
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"), uncollected():
        load()
    assert found == [False]
    assert gc.isenabled()


def test_who_looks_for_no_garbage_goes_on_so() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_kept_is_kept_once() -> None:
    keep_modules()
    kept = gc.get_freeze_count()
    assert kept > 0
    made = [[] for _ in range(1000)]
    keep_modules()
    assert gc.get_freeze_count() <= kept, made


def test_what_libraries_hold_ends_with_the_process() -> None:
    # given a library that tells of what is left of it; its module is among what is kept
    program = "import duckdb; from ml_platform.uncollected import keep_modules; keep_modules(); duckdb.sql('SELECT 1')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == ""
