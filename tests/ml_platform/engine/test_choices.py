from __future__ import annotations

import pytest
from sqlglot import exp, parse_one

from ml_platform.engine import choices
from ml_platform.engine.scope import NOWHERE, UNNAMED

EVERY = [("id", NOWHERE), ("Store", frozenset({("s/x", "Store")})), ("stock", NOWHERE)]


def entry(text: str) -> exp.Expr:
    return parse_one(f"SELECT {text} FROM s.x", read="duckdb").expressions[0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("*", ["id", "Store", "stock"]),
        ("* LIKE 's%'", ["stock"]),
        ("* ILIKE 's%'", ["Store", "stock"]),
        ("* NOT ILIKE '%e'", ["id", "stock"]),
        ("COLUMNS('^.t|i')", ["id", "Store", "stock"]),
        ("COLUMNS('(?i)^S.*e$')", ["Store"]),
        ("COLUMNS(['STORE', 'id'])", ["id", "Store"]),
        ("COLUMNS(* ILIKE 'st%')", ["Store", "stock"]),
        ("COLUMNS(*)", ["id", "Store", "stock"]),
    ],
)
def test_columns_are_chosen_as_the_engine_chooses_them(text: str, names: list[str]) -> None:
    assert [name for name, _ in choices.chosen(entry(text), EVERY)] == names


@pytest.mark.parametrize(
    "text",
    ["COLUMNS(lambda c: c = 'id')", "COLUMNS('(')", "* GLOB 's*'", "* SIMILAR TO 'id'", "* LIKE 'a\\_b'"],
)
def test_what_only_the_engine_can_choose_may_be_any_column(text: str) -> None:
    assert list(choices.chosen(entry(text), EVERY)) == [(None, origins) for _, origins in EVERY]


def test_of_a_column_whose_name_is_not_known_nobody_knows_whether_it_is_chosen() -> None:
    every = [(f"{UNNAMED}1", NOWHERE), (None, NOWHERE), ("b", NOWHERE)]
    assert [name for name, _ in choices.chosen(entry("COLUMNS('a')"), every)] == [None, None]
    assert list(choices.chosen(entry("*"), every)) == every


def test_an_entry_is_a_star_or_has_columns_in_it() -> None:
    assert choices.star_of(entry("x.* LIKE 'a'")) == entry("x.*")
    assert choices.star_of(entry("count(*)")) is None
    assert choices.columns_in(entry("max(COLUMNS('a')) + 1")) == entry("COLUMNS('a')")
    assert choices.columns_in(entry("(SELECT COLUMNS('a') FROM s.y)")) is None
    assert choices.columns_in(entry("coalesce(*COLUMNS('a'))")) is None


def test_a_column_is_called_as_the_one_that_was_chosen_or_by_its_alias() -> None:
    assert choices.named(entry("COLUMNS('a')"), "a") == "a"
    assert choices.named(entry("COLUMNS('a') AS n"), "a") == "n"
    assert choices.named(entry("COLUMNS('(a)') AS 'n_\\1'"), "a") is None


def test_what_is_left_out_or_named_is_told() -> None:
    star = entry("* EXCLUDE (x.A, b)")
    assert [choices.spelled(each) for each in star.args["except_"]] == [("x", "a"), ("", "b")]
    assert choices.texts(entry("COLUMNS(['a', 'B'])")) == ["a", "B"]
    assert choices.texts(entry("COLUMNS('a')")) == []
