from __future__ import annotations

import gc

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
