from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import dagster as dg
import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES, declaration

KEPT = ("domain.yaml", "bronze/", "silver/orders/")
AT = "silver/checked/defs.yaml"


def declared(folder: Path, *rules: str, query: str = "SELECT store, amount, month FROM bronze.orders") -> Project:
    """A project with a table of stores, amounts and months, and the rules that it expects."""
    project = Project(folder, {path: text for path, text in FILES.items() if path.startswith(KEPT)})
    listed = indent("\n".join(f"- {rule}" for rule in rules), "  ")
    project.write(AT, declaration("Table", f"description: Checked.\npartitioned: true\nexpect:\n{listed}"))
    project.write("silver/checked/checked.sql", query)
    return project


def names(project: Project) -> list[str]:
    keys = project.definitions.resolve_asset_graph().asset_check_keys
    return sorted(key.name for key in keys if key.asset_key == dg.AssetKey(["silver", "checked"]))


def test_every_rule_is_a_check_with_a_name_of_its_own(tmp_path: Path) -> None:
    project = declared(
        tmp_path,
        "not_null: store",
        "between: {column: amount, min: 0}",
        "between: {column: amount, max: 100}",
        "{sql: amount > 0, name: sold_something}",
        "row_count: {min: 1}",
    )
    assert names(project) == ["amount_between", "amount_between_2", "row_count", "sold_something", "store_not_null"]


def test_a_check_says_what_becomes_of_what_breaks_its_rule(tmp_path: Path) -> None:
    project = declared(
        tmp_path,
        "{not_null: store, severity: warn}",
        "{between: {column: amount, min: 0}, severity: quarantine}",
        "row_count: {min: 1}",
    )
    graph = project.definitions.resolve_asset_graph()
    said = {
        key.name: graph.get(key).description for key in graph.asset_check_keys if key.asset_key.path[-1] == "checked"
    }
    assert said == {
        "store_not_null": "Warns where store is NULL.",
        "amount_between": "A row goes to the quarantine where amount is less than 0.",
        "row_count": "The run fails, and the table stays as it was, where a partition does not have at least 1 rows.",
    }


def test_a_table_that_values_are_looked_up_in_is_a_dependency(tmp_path: Path) -> None:
    project = declared(
        tmp_path,
        "references: {column: store, to: bronze/stores.store}",
        "references: {column: store, to: silver/orders.store}",
    )
    assert {key.to_user_string() for key in project.node("silver/checked").parent_keys} == {
        "bronze/orders",
        "bronze/stores",
        "silver/orders",
    }


def test_a_changed_rule_is_changed_code(tmp_path: Path) -> None:
    project = declared(tmp_path, "between: {column: amount, min: 0}")
    before = project.node("silver/checked").code_version
    project.change(AT, "min: 0", "min: 1")
    assert project.node("silver/checked").code_version != before


def test_texts_stand_as_they_are_written(tmp_path: Path) -> None:
    project = declared(
        tmp_path, 'one_of: {column: store, values: ["1", "{x}"]}', 'matches: {column: store, pattern: "[1]"}'
    )
    assert names(project) == ["store_matches", "store_one_of"]


def test_columns_that_a_query_does_not_spell_are_left_to_the_run(tmp_path: Path) -> None:
    assert names(declared(tmp_path, "not_null: anything", query="SELECT * FROM bronze.orders")) == ["anything_not_null"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("not_nul: store", "not_nul is set, but there is no such field. Did you mean not_null"),
        ("between: {column: amount, mni: 0}", "between.mni is set, but there is no such field. Did you mean min?"),
        ("between: {min: 0}", "between.column is missing, but between needs it"),
        ("{not_null: store, severity: drop}", "severity is 'drop', but .*'warn', 'quarantine' or 'fail'"),
        ("{not_null: store, unique: store}", "a rule is of the kinds not_null, unique, but it is of exactly one"),
        ("severity: warn", "a rule is of no kind, but it is of exactly one. Kinds are not_null"),
        ("not_null: stroe", "column is 'stroe', but the table has no such column. Did you mean store?"),
        ("not_null: 'store\"; DROP TABLE x; --'", "the table has no such column"),
        ("between: {column: amount}", "between has neither min nor max"),
        ("between: {column: amount, min: 2, max: 1}", "min is 2, but max is 1, which is less"),
        ("between: {column: amount, min: a, max: 1}", "min and max are 'a', 1, but they are of several types"),
        ("between: {column: amount, min: .nan}", "between.min is nan, but a number has to be finite"),
        ("between: {column: amount, min: true}", "between.min is True, but that cannot be"),
        ("one_of: {column: store, values: []}", "one_of.values is .*, but that cannot be: .*at least 1 item"),
        ("one_of: {column: store, values: [a, 1]}", "values are 'a', 1, but they are of several types"),
        ("matches: {column: store, pattern: '['}", r"pattern is '\[', but that is no pattern in RE2's syntax"),
        ("references: {column: store, to: stores}", "to is 'stores', but that is no column of a table"),
        ("references: {column: store, to: bronze/store.store}", "it reads 'bronze/store', but .* bronze/stores"),
        ("references: {column: store, to: bronze/stores.stor}", "that table has no such column. Did you mean store"),
        ("references: {column: store, to: silver/orders.stor}", "that table has no such column. Did you mean store"),
        ("references: {column: store, to: silver/checked.store}", "a table is not made from itself"),
        ("sql: amout > 0", "the table has no column amout. Did you mean amount"),
        ("sql: DROP TABLE x", "that is not one expression"),
        ("sql: amount > (SELECT max(amount) FROM silver.orders)", "looks beyond the row"),
        ("row_count: {}", "row_count has neither min nor max"),
        ("{row_count: {min: 1}, severity: quarantine}", "row_count is about the table, and no row"),
        ("freshness: {column: month, max_hours: 0}", "freshness.max_hours is 0, but that cannot be"),
        ("{not_null: month, severity: quarantine}", "month is the partition, by which the quarantine is divided"),
        ("{not_null: store, name: first}", "name is 'first', but another rule has it. Give each its own"),
        ("{not_null: store, name: a b}", "name is 'a b', but that cannot be"),
    ],
)
def test_a_wrong_rule_is_refused_by_file_and_line(tmp_path: Path, rule: str, message: str) -> None:
    project = declared(tmp_path, "{not_null: amount, name: first}", rule)
    with pytest.raises(DeclarationError, match=rf"{re.escape(AT)}:8: .*{message}"):
        _ = project.definitions


def test_what_was_appended_cannot_be_set_apart_for_what_comes_later(tmp_path: Path) -> None:
    project = declared(tmp_path, "{unique: store, severity: quarantine}")
    project.change(AT, "partitioned: true", "partitioned: true\n  write: append")
    with pytest.raises(DeclarationError, match=rf"{AT}:\d+: severity is 'quarantine', but a row that was"):
        _ = project.definitions
    project.change(AT, "severity: quarantine", "severity: warn")
    assert names(project) == ["store_unique"]
