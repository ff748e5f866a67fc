from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from ml_platform.engine.data_card import Contents, markdown, measured

START = datetime(2013, 1, 1, tzinfo=UTC)
CONTENTS = Contents(("flight",), "event_time", "late", {"wind": "number", "carrier": "category"})


@pytest.fixture
def said() -> Iterator[Any]:
    """What is measured of a set of 8 rows to fit on, 4 to tune on, 4 to test on."""
    rows = pl.DataFrame(
        {
            "flight": [*"abcdefgh", *"ijkl", *"mnoo"],
            "event_time": [START + timedelta(days=day) for day in [*range(15), 14]],
            "late": [True, False] * 4 + [True] * 4 + [False, False, False, True],
            "wind": [None, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, None, None, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0],
            "carrier": ["AA", "UA"] * 4 + ["AA", "UA", "AA", "UA"] + ["UA", "UA", "UA", "AA"],
            "split": ["train"] * 8 + ["validate"] * 4 + ["test"] * 4,
        }
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA training")
        connection.register("frame", rows.to_arrow())
        connection.execute("CREATE TABLE training.rows AS SELECT * FROM frame")
        yield measured(CONTENTS, lambda query: connection.sql(query).to_arrow_table())


def test_splits_say_their_rows_and_how_often_the_label_is_true(said: Any) -> None:
    assert [(row["split"], row["rows"], row["label_mean"]) for row in said["splits"]] == [
        ("train", 8, 0.5),
        ("validate", 4, 1.0),
        ("test", 4, 0.25),
    ]
    assert said["splits"][1]["first_event"] == "2013-01-09 00:00:00+00:00"


def test_the_balance_of_the_label_is_told_split_by_split(said: Any) -> None:
    assert said["balance"] == {
        "false": {"test": 0.75, "train": 0.5},
        "true": {"test": 0.25, "train": 0.5, "validate": 1.0},
    }


@pytest.mark.parametrize("kind", ["VARCHAR", "INTEGER"])
def test_a_label_of_classes_has_a_balance_and_one_of_many_values_has_none(kind: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA training")
        for many, expected in ((3, {"0": 0.4, "1": 0.3, "2": 0.3}), (21, None)):
            connection.execute(
                f"CREATE OR REPLACE TABLE training.rows AS SELECT CAST(n % {many} AS {kind}) AS late, 1 AS flight, "
                f"TIMESTAMPTZ '2013-01-01 00:00:00Z' AS event_time, 1.0 AS wind, 'AA' AS carrier, 'train' AS split "
                f"FROM range({max(many, 10)}) AS t(n)"
            )
            found = measured(CONTENTS, lambda query: connection.sql(query).to_arrow_table())
            assert {value: shares["train"] for value, shares in found["balance"].items()} == (expected or {})
            assert "## Features" in markdown("training_sets/late", "", found, [])


def test_features_say_what_is_missing_and_how_far_they_moved(said: Any) -> None:
    wind, carrier = said["features"]
    assert wind["null_share"] == {"test": 0.0, "train": 0.125, "validate": 0.5}
    # half and half in train and in validate, a quarter and three quarters in test:
    # -0.25 ln(0.5) + 0.25 ln(1.5) = 0.2747
    assert carrier["psi"]["validate"] == pytest.approx(0, abs=1e-12)
    assert carrier["psi"]["test"] == pytest.approx(0.2747, abs=1e-4)


def test_rows_that_share_entity_and_time_are_counted(said: Any) -> None:
    assert said["repeated"] == 2


def test_the_card_is_a_page_of_tables(said: Any) -> None:
    page = markdown(
        "training_sets/late", "What is learned.", said, [{"table": "gold/x", "version": 3, "fingerprint": "f"}]
    )
    assert page.startswith("# training_sets/late\n\nWhat is learned.\n")
    assert "| validate | 4 | 1.0000 | 2013-01-09 00:00:00+00:00 |" in page
    assert "| true | 0.5000 | 1.0000 | 0.2500 |" in page
    assert "| carrier | category | 0.0000 | 0.0000 | 0.0000 | 0.0000 | 0.2747 |" in page
    assert "| gold/x | 3 | f |" in page
    assert "entity and event time with another one: 2." in page
