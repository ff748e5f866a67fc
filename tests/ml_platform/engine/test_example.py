from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from ml_platform.engine.example import example_request
from resources.embedded.lakehouse import EmbeddedLakehouse


def at(hour: int) -> datetime:
    return datetime(2013, 12, 30, hour, tzinfo=UTC)


def lakehouse(folder: Path, winds: list[float | None]) -> EmbeddedLakehouse:
    made = EmbeddedLakehouse(str(folder))
    rows = pa.table(
        {
            "flight_id": [f"f-{hour}" for hour in range(len(winds))],
            "event_time": pa.array([at(hour) for hour in range(len(winds))], pa.timestamp("us", tz="UTC")),
            "wind": pa.array(winds, pa.float64()),
        }
    )
    write_deltalake(made.table("training_sets/late").uri, rows)
    return made


def test_the_example_is_the_latest_event_with_every_feature_known(tmp_path: Path) -> None:
    request = example_request(
        "training_sets/late", "event_time", {"flight_id": "string"}, lakehouse(tmp_path, [1.0, 2.0, None])
    )

    named = {given["name"]: (given["datatype"], given["data"]) for given in request["inputs"]}
    assert named == {
        "flight_id": ("BYTES", ["f-1"]),
        "event_time": ("BYTES", ["2013-12-30T01:00:00Z"]),
    }


def test_without_a_whole_event_the_latest_is_taken(tmp_path: Path) -> None:
    request = example_request(
        "training_sets/late", "event_time", {"flight_id": "string"}, lakehouse(tmp_path, [None, None])
    )

    assert request["inputs"][0]["data"] == ["f-1"]
