from __future__ import annotations

from ml_platform.testing.faults import FAULTS, Faults


def test_a_fault_comes_as_often_as_it_was_set_and_no_more() -> None:
    faults = Faults()
    faults.set("throttled", 2)
    assert [faults.take("throttled") for _ in range(3)] == [True, True, False]
    assert not [fault for fault in FAULTS if faults.take(fault)]
