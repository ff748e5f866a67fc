from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made


def test_predictions_depend_on_champion_events_and_views(made: Made) -> None:
    node = made.project.node("predictions/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"models/returns__champion", "silver/orders", "features/order_v1", "features/store_recent_v1"}
    assert node.kinds == {"deltalake", "predictions"}


def test_predictions_say_how_many_and_from_which_versions(made: Made) -> None:
    said = made.first.said["predictions/returns"]
    assert said["outcome"] == "60 rows added, 0 removed"
    assert said["dagster/row_count"] == 60
    assert {record.data["table"] for record in said["read"].records} == {
        "silver/orders",
        "features/order_v1",
        "features/store_recent_v1",
    }


def test_each_event_of_the_range_is_scored_once_by_the_champion(made: Made) -> None:
    rows = made.project.rows("predictions/returns")
    assert {row["month"] for row in rows} == {"2024-04"}
    assert len({row["order_id"] for row in rows}) == len(rows) == 60
    assert {row["model_version"] for row in rows} == {1}
    assert all(0 < row["prediction"] < 1 for row in rows)


def test_dearer_orders_are_more_likely_to_be_returned(made: Made) -> None:
    rows = made.project.rows("predictions/returns")
    dear = [row["prediction"] for row in rows if row["amount"] >= 75]
    cheap = [row["prediction"] for row in rows if row["amount"] < 25]
    assert min(dear) > max(cheap)


def test_predictions_without_a_champion_fail_the_run(tables: Project) -> None:
    assert "models/returns has no champion" in tables.run('key:"predictions/returns"').failures["predictions/returns"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("models/returns", "models/retruns", "it reads 'models/retruns', but .*Did you mean models/returns"),
        ("silver/orders", "silver/order", "it reads 'silver/order', but .*Did you mean silver/orders"),
        (
            "events:",
            "where: amuont > 1\n  events:",
            ":6: where is 'amuont > 1', but .* no column amuont. Did you mean",
        ),
        ('"2024-04"]', '"2024-05"]', "partitions is 2024-04 to 2024-05, but .* They go from 2024-01 to 2024-04"),
        ('["2024-04", "2024-04"]', '["2024-04", "2024-03"]', "partitions is 2024-04 to 2024-03, but that is no range"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("predictions/returns/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"predictions/returns/defs.yaml.*{message}"):
        _ = shop.definitions
