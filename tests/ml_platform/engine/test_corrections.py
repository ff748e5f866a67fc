from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ml_platform.engine.corrections import corrected
from ml_platform.engine.ingest import Source, ingest
from resources.embedded.lakehouse import EmbeddedLakehouse

EVERY = ["2013-01", "2013-02"]
EVENTS = Source(
    "bronze/events", "landing/events", "*.csv", {"day": "date", "n": "int32"}, "month", "day", on_change="ingest"
)


def test_a_corrected_file_makes_wrong_what_was_read_before_its_correction(lakehouse: EmbeddedLakehouse) -> None:
    # given two files, of which one comes again with another number, and a third one since
    landing = Path(lakehouse.files("landing/events").uri)
    landing.mkdir(parents=True)
    for name, rows in {"a.csv": "2013-01-31,1", "b.csv": "2013-02-01,2"}.items():
        (landing / name).write_text(f"day,n\n{rows}\n")
    ingest(EVENTS, EVERY, EVERY, lakehouse)
    (landing / "c.csv").write_text("day,n\n2013-02-02,3\n")
    ingest(EVENTS, EVERY, EVERY, lakehouse)
    assert list(corrected(EVENTS, lakehouse)) == []
    (landing / "a.csv").write_text("day,n\n2013-01-31,4\n")
    ingest(EVENTS, EVERY, EVERY, lakehouse)
    # then the versions before are wrong, in its month
    ((subject, why, seeds),) = corrected(EVENTS, lakehouse)
    assert subject.startswith("file:a.csv ")
    assert why.startswith("a.csv was corrected by ")
    assert seeds.versions == {"bronze/events": {0: ["2013-01"], 1: ["2013-01"]}}


def test_a_source_that_was_never_made_has_no_corrections(lakehouse: EmbeddedLakehouse) -> None:
    assert list(corrected(replace(EVENTS, key="bronze/none"), lakehouse)) == []
