from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from ml_platform.engine import delta, training
from ml_platform.engine.point_in_time import join
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made


def test_training_set_depends_on_its_events_and_views(made: Made) -> None:
    node = made.project.node("training_sets/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"silver/orders", "features/order_v1", "features/store_recent_v1", "features/order_moment_v1"}
    assert node.partitions_def is None


def test_training_set_says_its_splits_and_the_versions_it_is_pinned_to(made: Made) -> None:
    said = made.first.said["training_sets/returns"]
    splits = {record.data["split"]: int(record.data["rows"]) for record in said["splits"].records}
    assert splits == {"train": 120, "validate": 60, "test": 60}
    pinned = {record.data["table"]: record.data["fingerprint"] for record in said["read"].records}
    assert pinned == {key: made.first.data_versions[key] for key in pinned}
    assert len(pinned) == 3


def test_each_event_has_what_was_known_of_it_and_nothing_later(made: Made) -> None:
    rows = {row["order_id"]: row for row in made.project.rows("training_sets/returns")}
    assert len(rows) == 240
    assert rows["2024-03-007"]["amount"] == float(7 * 37 % 100)
    # the first order of a store knows of no order before it: its own is known an hour later
    assert rows["2024-01-000"]["recent_amount"] is None
    # the second order of the store knows the first: 0, and the third the mean of 0 and 11 (3 · 37 = 111)
    assert rows["2024-01-003"]["recent_amount"] == 0.0
    assert rows["2024-01-006"]["recent_amount"] == 5.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "features/order_v1",
            "features/order_v2",
            "it reads 'features/order_v2', but .*Did you mean features/order_v1",
        ),
        ("features/order_v1", "gold/totals", "gold/totals is a Table, but what is needed there is a FeatureView"),
        ("events: silver/orders", "events: silver/order", "it reads 'silver/order', but .*Did you mean silver/orders"),
        ("split:", "splits:", "split is missing"),
        ('test: ["2024-04", "2024-04"]', 'test: ["2024-04"]', "test.* is missing"),
        ("label:", "where: retrned\n  label:", ":7: where is 'retrned', but the table has no column .* mean returned?"),
        ("label:", "where: 1=1; DROP TABLE x\n  label:", ":7: where is .*, but that is not one expression"),
        ("label:", "request: [returned]\n  label:", ":7: request has returned, but that is the label"),
    ],
)
def test_wrong_declaration_is_refused_by_its_own_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("training_sets/returns/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"training_sets/returns/defs.yaml.*{message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'validate: ["2024-03"',
            'validate: ["2024-02"',
            "the split train is 2024-01 to 2024-02, but it is empty or runs",
        ),
    ],
)
def test_wrong_split_or_predicate_fails_the_run(tables: Project, old: str, new: str, message: str) -> None:
    tables.change("training_sets/returns/defs.yaml", old, new)
    ran = tables.run("group:training_sets")
    assert message in ran.failures["training_sets/returns"]


def test_label_that_the_events_do_not_have_is_refused(shop: Project) -> None:
    shop.change("training_sets/returns/defs.yaml", "label: returned", "label: came_back")
    with pytest.raises(
        DeclarationError, match=r"training_sets/returns/defs.yaml: it builds on a column came_back, but"
    ):
        _ = shop.definitions


def test_views_that_give_one_column_twice_fail_the_run(tables: Project) -> None:
    tables.change("training_sets/returns/defs.yaml", "[order_id]", "[order_id, store]")
    ran = tables.run("group:training_sets")
    assert "order_v1 gives store, but the events or an earlier view have that column" in str(ran.failures)


def test_training_set_shows_its_data_card_and_that_nothing_leaked(made: Made) -> None:
    said = made.first.said["training_sets/returns"]
    assert said["data_card"].startswith("# training_sets/returns\n")
    assert said["repeated_events"] == 0
    (check,) = made.first.checks["training_sets/returns"]
    assert (check.check_name, check.passed) == ("leakage", True)
    assert check.metadata["events_asked_again"].value == 240


def test_a_planted_leak_fails_the_check_and_commits_nothing(tables: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a join that takes every row as known when its event was
    def leaky(events: pl.DataFrame, views: Any, *rest: Any) -> pl.DataFrame:
        return join(events, [(view, rows.with_columns(known_at=view.event_time)) for view, rows in views], *rest)

    monkeypatch.setattr(training, "join", leaky)
    # when a set is made by it
    tables.change("training_sets/returns/defs.yaml", "with what was known", "with all that is known")
    tables.change("training_sets/returns/defs.yaml", "label:", "where: amount >= 0\n  label:")
    before = tables.rows("training_sets/returns") if _stands(tables) else None
    ran = tables.run("group:training_sets")
    # then the feature is named, and the set stands as it stood
    (check,) = ran.checks["training_sets/returns"]
    assert (check.check_name, check.passed) == ("leakage", False)
    assert "recent_amount" in str(check.description)
    assert "of 240 sampled events: recent_amount in 2" in ran.failures["training_sets/returns"]
    assert (tables.rows("training_sets/returns") if _stands(tables) else None) == before


def _stands(project: Project) -> bool:
    return delta.snapshot(project.lakehouse.table("training_sets/returns")) is not None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'test: ["2024-04", "2024-04"]',
            'test: ["2024-05", "2024-06"]',
            "the split test has no event of silver/orders",
        ),
        ("label:", "event_time: known_at\n  label:", ""),
    ],
    ids=["empty split", "as of when it was known"],
)
def test_events_that_do_not_fit_fail_the_run(tables: Project, old: str, new: str, message: str) -> None:
    tables.change("training_sets/returns/defs.yaml", old, new)
    ran = tables.run("group:training_sets")
    assert message in ran.failures.get("training_sets/returns", "")
    assert bool(message) != ran.success


def test_a_set_is_split_by_entity(tables: Project) -> None:
    months = {"train": ("01", "02"), "validate": ("03", "03"), "test": ("04", "04")}
    named = [f'{name}: ["2024-{first}", "2024-{last}"]' for name, (first, last) in months.items()]
    ranges = "\n    ".join(["  by: month", *named])
    shares = "  by_hash_of: [order_id]\n    shares: {train: 0.5, validate: 0.25, test: 0.25}"
    tables.change("training_sets/returns/defs.yaml", ranges, shares)
    ran = tables.run("group:training_sets")
    assert ran.success, ran.failures
    splits = {
        record.data["split"]: record.data["rows"] for record in ran.said["training_sets/returns"]["splits"].records
    }
    assert sum(splits.values()) == 240
    assert 100 < splits["train"] < 140
