from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine.aside import set_aside
from ml_platform.records.table import StagedFiles, View
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_set_aside_can_be_queried_and_is_gone_afterwards(
    lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute, fails: bool
) -> None:
    try:
        with set_aside("silver/x", lakehouse, compute) as aside:
            rows = aside.frame(pa.table({"n": [1, 2, 3]}))
            odd = aside.query("SELECT n FROM given.rows WHERE n <> 2 ORDER BY n", {"given.rows": rows})
            assert compute.fetch("SELECT * FROM odd.rows", {"odd.rows": odd})["n"].to_pylist() == [1, 3]
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert list(Path(lakehouse.files("platform/incoming").uri).rglob("*")) == []


def test_rows_that_a_table_holds_as_they_are_are_not_staged_again(
    lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    with set_aside("silver/x", lakehouse, compute) as aside:
        rows = {"given.rows": aside.frame(pa.table({"n": [1, 2, 3]}))}
        odd = aside.view("SELECT n, n * 2 AS twice FROM given.rows WHERE n <> 2 -- odd", rows)
        assert isinstance(odd, View)
        assert odd.schema.names == ["n", "twice"]
        found = compute.fetch("SELECT sum(twice) AS n FROM odd.rows", {"odd.rows": odd})
        assert found.to_pylist() == [{"n": 8}]


def test_rows_that_a_table_would_hold_otherwise_are_staged(
    lakehouse: EmbeddedLakehouse, compute: EmbeddedCompute
) -> None:
    with set_aside("silver/x", lakehouse, compute) as aside:
        rows = {"given.rows": aside.frame(pa.table({"n": [1, 2, 3]}))}
        assert isinstance(aside.view("SELECT n::UTINYINT AS n FROM given.rows", rows), StagedFiles)
