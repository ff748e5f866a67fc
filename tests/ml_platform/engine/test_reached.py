from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.engine.declared import Declared
from ml_platform.engine.ingest import Source, ingest
from ml_platform.engine.reached import holding, named
from ml_platform.engine.table_log import read_log
from ml_platform.errors import NotFoundError
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02"]
EVENTS = Source("bronze/events", "landing/events", "*.csv", {"day": "date", "n": "int32"}, "month", "day")
DECLARED = Declared(("bronze/events",), sources={"bronze/events": EVENTS})


@pytest.fixture
def landing(lakehouse: EmbeddedLakehouse) -> Path:
    """Two files, of which the second is taken by a second batch, into the same month."""
    landing = Path(lakehouse.files("landing/events").uri)
    landing.mkdir(parents=True)
    for name, rows in {"a.csv": "2013-01-31,1\n2013-02-01,2", "b.csv": "2013-02-02,3"}.items():
        (landing / name).write_text(f"day,n\n{rows}\n")
        ingest(EVENTS, EVERY, EVERY, lakehouse)
    return landing


def test_a_file_is_followed_to_the_data_files_that_hold_its_rows(landing: Path, lakehouse: EmbeddedLakehouse) -> None:
    (found,) = named("a.csv", DECLARED, lakehouse)
    assert found.rows == {"2013-01": 1, "2013-02": 1}
    log = read_log(lakehouse.table("bronze/events"))
    first, second = (set(log.entries[version].adds) for version in (0, 1))
    assert set(holding(found, {"bronze/events": log}, lakehouse).files["bronze/events"]) == first
    (other,) = named("b.csv", DECLARED, lakehouse)
    assert set(holding(other, {"bronze/events": log}, lakehouse).files["bronze/events"]) == second


def test_a_file_goes_by_the_beginning_of_its_digest(landing: Path, lakehouse: EmbeddedLakehouse) -> None:
    (found,) = named("b.csv", DECLARED, lakehouse)
    assert named(found.digest[:8], DECLARED, lakehouse) == [found]
    with pytest.raises(NotFoundError, match="no landed file goes by it"):
        named(found.digest[:7], DECLARED, lakehouse)
