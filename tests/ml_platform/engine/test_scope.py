from __future__ import annotations

import pytest

from ml_platform.engine.scope import NOWHERE, Relation, Scope, UnknownNameError


def relation(key: str, *columns: str, has_more: bool = False) -> Relation:
    named = ((name, frozenset({(key, name)})) for name in columns)
    made = Relation.of(named, has_more=has_more, rest=key if has_more else None)
    return made.called(key.partition("/")[2], layer=key.partition("/")[0])


ORDERS, STORES = relation("s/orders", "id", "Store"), relation("s/stores", "store", "size")


def test_a_column_is_found_however_it_is_spelled() -> None:
    assert ORDERS.find("STORE") == {("s/orders", "Store")}
    assert ORDERS.find("size") is None


def test_a_table_of_which_not_all_is_known_may_have_any_column() -> None:
    half = relation("s/orders", "id", has_more=True)
    assert half.is_open
    assert half.find("other") == {("s/orders", "other")}


def test_of_two_columns_with_one_name_the_engine_renames_one() -> None:
    assert Relation.of([("a", NOWHERE), ("A", NOWHERE)], has_more=False).is_open


def test_rows_are_united_by_position_or_by_name() -> None:
    other = relation("s/stores", "store", "id")
    assert ORDERS.united(other, by_name=False).find("id") == {("s/orders", "id"), ("s/stores", "store")}
    assert ORDERS.united(other, by_name=True).find("id") == {("s/orders", "id"), ("s/stores", "id")}


def test_first_columns_are_renamed_and_the_others_stay() -> None:
    renamed = ORDERS.called("o", ["number"])
    assert renamed.find("number") == {("s/orders", "id")}
    assert renamed.find("id") is None
    assert renamed.find("store") == {("s/orders", "Store")}


def test_a_name_is_found_in_what_is_read_and_then_in_the_query_around() -> None:
    inner = Scope(Scope(relations=[STORES]), relations=[ORDERS])
    assert inner.find(["id"]) == {("s/orders", "id")}
    assert inner.find(["size"]) == {("s/stores", "size")}
    assert inner.find(["s", "orders", "id"]) == {("s/orders", "id")}


@pytest.mark.parametrize(
    ("parts", "wrong", "known"),
    [(["sise"], "sise", {"id", "Store", "store", "size"}), (["stors", "size"], "stors", {"orders", "stores"})],
)
def test_a_name_that_nothing_has_is_told_with_what_could_be_meant(
    parts: list[str], wrong: str, known: set[str]
) -> None:
    with pytest.raises(UnknownNameError) as raised:
        Scope(relations=[ORDERS, STORES]).find(parts)
    assert raised.value.wrong == wrong
    assert set(raised.value.known) == known
