from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made


def test_training_set_depends_on_its_events_and_views(made: Made) -> None:
    node = made.project.node("training_sets/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"silver/orders", "features/order_v1", "features/store_recent_v1"}
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
        ("  label:", "  where: retrned\n  label:", "retrned"),
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
