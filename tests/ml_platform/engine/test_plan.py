from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from ml_platform.engine.plan import INCOMING, STANDING, Shape, merged, quoted, rows


def run(query: str, **tables: pa.Table) -> list[tuple[object, ...]]:
    """Over tables named `<name>.rows`."""
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.execute(f"CREATE SCHEMA {name}")
            connection.register("given", table)
            connection.execute(f"CREATE TABLE {name}.rows AS SELECT * FROM given")
            connection.unregister("given")
        found: list[tuple[object, ...]] = connection.execute(query).fetchall()
        return found


def flights(*given: tuple[object, ...]) -> pa.Table:
    kinds = {"key": pa.string(), "known": pa.int64(), "value": pa.string(), "month": pa.string()}
    columns = zip(*given, strict=True) if given else [[]] * 4
    return pa.table({name: pa.array(list(c), kinds[name]) for name, c in zip(kinds, columns, strict=True)})


KEYED = Shape(key=("key",), partition="month")
MERGED = Shape(key=("key",), partition="month", write="merge", newest="known")
ALL = f"SELECT * FROM {INCOMING}"


def merge(standing: pa.Table, incoming: pa.Table, *months: str) -> list[tuple[object, ...]]:
    return run(merged(ALL, MERGED, months or ("1",), standing.column_names), standing=standing, incoming=incoming)


def test_only_selected_partitions_are_made() -> None:
    table = flights(("a", 1, "x", "1"), ("b", 1, "x", "2"), ("c", 1, "x", "3"))
    assert [row[0] for row in run(rows(ALL, KEYED, ["3", "1"]), incoming=table)] == ["a", "c"]


def test_a_row_without_a_partition_is_kept_for_the_audit() -> None:
    table = flights(("a", 1, "x", None), ("b", 1, "x", "1"))
    assert {row[0] for row in run(rows(ALL, KEYED, ["1"]), incoming=table)} == {"a", "b"}


def test_equal_rows_of_a_keyed_table_collapse_and_differing_ones_do_not() -> None:
    table = flights(("a", 1, "x", "1"), ("a", 1, "x", "1"), ("a", 1, None, "1"), ("a", 1, None, "1"))
    assert len(run(rows(ALL, KEYED, ["1"]), incoming=table)) == 2


def test_equal_rows_of_a_table_without_a_key_all_stay() -> None:
    table = flights(("a", 1, "x", "1"), ("a", 1, "x", "1"))
    assert len(run(rows(ALL, Shape(partition="month"), ["1"]), incoming=table)) == 2


def test_rows_stand_in_the_order_of_partition_and_key() -> None:
    table = flights(("b", 1, "x", "1"), ("a", 1, "x", "2"), ("a", 2, "x", "1"))
    assert [(row[3], row[0]) for row in run(rows(ALL, KEYED, ["1", "2"]), incoming=table)] == [
        ("1", "a"), ("1", "b"), ("2", "a")
    ]  # fmt: skip


@pytest.mark.parametrize("comment", ["-- the end", "/* the end */"])
def test_a_query_may_end_in_a_comment(comment: str) -> None:
    table = flights(("a", 1, "x", "1"))
    assert len(run(rows(f"{ALL} {comment}", KEYED, ["1"]), incoming=table)) == 1


def test_names_and_values_with_quotes_are_taken_as_they_are() -> None:
    table = pa.table({'o"clock': ["it's", "b"]})
    shape = Shape(key=('o"clock',), partition='o"clock')
    assert run(rows(ALL, shape, ["it's"]), incoming=table) == [("it's",)]
    assert sorted(run("SELECT " + quoted('o"clock') + " FROM incoming.rows", incoming=table)) == [("b",), ("it's",)]


def test_of_a_merge_the_newest_row_stands_however_it_comes() -> None:
    standing = flights(("older", 5, "standing", "1"), ("newer", 5, "standing", "1"), ("kept", 5, "standing", "1"))
    incoming = flights(
        ("older", 4, "incoming", "1"), ("newer", 6, "incoming", "1"), ("newer", 3, "late", "1"), ("new", 1, "in", "1")
    )
    assert [row[:3] for row in merge(standing, incoming)] == [
        ("kept", 5, "standing"), ("new", 1, "in"), ("newer", 6, "incoming"), ("older", 5, "standing")
    ]  # fmt: skip


def test_of_a_tie_the_incoming_row_stands() -> None:
    assert merge(flights(("a", 5, "standing", "1")), flights(("a", 5, "incoming", "1"))) == [("a", 5, "incoming", "1")]


def test_a_row_of_unknown_age_does_not_replace_one_of_known_age() -> None:
    assert merge(flights(("a", 1, "standing", "1")), flights(("a", None, "in", "1"))) == [("a", 1, "standing", "1")]


def test_differing_incoming_rows_of_a_tie_all_stay_for_the_audit_and_equal_ones_collapse() -> None:
    differing = flights(("a", 5, "one", "1"), ("a", 5, "two", "1"))
    assert len(merge(flights(("a", 4, "standing", "1")), differing)) == 2
    assert len(merge(flights(("a", 6, "standing", "1")), differing)) == 1
    assert len(merge(flights(), flights(("a", 5, "one", "1"), ("a", 5, "one", "1")))) == 1


def test_a_merge_without_an_age_takes_the_incoming_row() -> None:
    shape = Shape(key=("key",), write="merge")
    query = merged(ALL, shape, [""], flights().column_names)
    found = run(query, standing=flights(("a", 9, "standing", "1")), incoming=flights(("a", 1, "incoming", "2")))
    assert found == [("a", 1, "incoming", "2")]


def test_standing_rows_are_brought_to_the_incoming_columns() -> None:
    standing = pa.table({"key": ["a"], "known": [1], "gone": ["x"]})
    incoming = pa.table({"key": ["b"], "known": [1], "new": [True]})
    shape = Shape(key=("key",), write="merge", newest="known")
    query = merged(ALL, shape, [""], ["key", "known", "new"])
    assert run(query, standing=standing, incoming=incoming) == [("a", 1, None), ("b", 1, True)]
    assert STANDING in query
