from __future__ import annotations

from ml_platform.engine import quarantine


def test_a_quarantine_is_partitioned_as_its_table() -> None:
    assert quarantine.schema("month").names == [*quarantine.SCHEMA.names, "month"]
    assert quarantine.schema(None) == quarantine.SCHEMA
