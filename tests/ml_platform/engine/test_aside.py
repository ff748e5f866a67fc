from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine.aside import set_aside
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
