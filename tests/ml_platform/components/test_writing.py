from __future__ import annotations

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import declaration

MERGE = "write: merge\n  newest: known_at"


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("write: append", "write is .append. and a key is declared, but what is appended is not compared"),
        ("write: history", "newest is not declared, but a version holds from a moment"),
        ("write: history\n  newest: known_at", "a history is partitioned, but a version can hold longer"),
        ("write: merge\n  delete_when: returned", "newest is not declared, but a delete marker holds from a moment"),
        ("delete_when: returned\n  newest: known_at", "delete_when is declared, but only a key that is merged can be"),
        (f"{MERGE}\n  delete_when: returned); DROP TABLE x", "delete_when is .*, but that is not one expression"),
        (f"{MERGE}\n  delete_when: event_time < now()", "delete_when is .*, but 'NOW.*' in it looks beyond the row"),
        (
            f"{MERGE}\n  delete_when: returned AND AND",
            "delete_when is 'returned AND AND', but that is not one expression",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused(shop: Project, new: str, said: str) -> None:
    shop.change("silver/orders/defs.yaml", MERGE, new)
    with pytest.raises(DeclarationError, match=f"silver/orders/defs.yaml: {said}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("nope = 1", "delete_when is 'nope = 1', but the table has no column nope"),
        ("retuned", "delete_when is 'retuned', but the table has no column retuned. Did you mean returned"),
    ],
)
def test_a_delete_marker_of_a_column_that_is_not_there_is_refused_by_line(
    shop: Project, marker: str, said: str
) -> None:
    shop.change("silver/orders/defs.yaml", MERGE, f"{MERGE}\n  delete_when: {marker}")
    with pytest.raises(DeclarationError, match=rf"silver/orders/defs\.yaml:\d+: {said}"):
        _ = shop.definitions


def test_a_delete_marker_of_a_history_may_be_about_the_moment_that_its_versions_hold_from(shop: Project) -> None:
    told = "write: history\nkey: [order_id]\nnewest: known_at\ndelete_when: known_at IS NULL"
    shop.write("silver/versions/defs.yaml", declaration("Table", f"description: Versions.\n{told}"))
    shop.write("silver/versions/versions.sql", "SELECT order_id, known_at FROM bronze.orders")
    assert shop.node("silver/versions").kinds >= {"silver"}


@pytest.mark.parametrize("write", ["merge", "history"])
def test_rows_that_are_told_apart_by_a_key_have_one(shop: Project, write: str) -> None:
    shop.change("silver/orders/defs.yaml", "  key: [order_id]\n", "")
    shop.change("silver/orders/defs.yaml", "write: merge", f"write: {write}")
    with pytest.raises(DeclarationError, match=f"write is '{write}', but the table has no key"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("key", "said"),
    [("gold/totals", "its query aggregates"), ("gold/store_month", "a Python function may look at more than a row")],
)
def test_what_is_not_row_wise_is_never_appended(shop: Project, key: str, said: str) -> None:
    declared = (shop.root / f"{key}/defs.yaml").read_text().replace("  key: [store, month]\n", "")
    shop.write(f"{key}/defs.yaml", f"{declared.rstrip()}\n  write: append\n")
    with pytest.raises(DeclarationError, match=f"{key}/defs.yaml: write is 'append', but {said}"):
        _ = shop.definitions
