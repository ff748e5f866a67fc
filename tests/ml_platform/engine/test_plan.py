from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from ml_platform.engine.plan import INCOMING, Shape, quoted, rows


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
EVERY = ["1", "2", "3"]
MERGED = Shape(key=("key",), partition="month", write="merge", newest="known")
ALL = f"SELECT * FROM {INCOMING}"


def test_only_selected_partitions_are_made() -> None:
    table = flights(("a", 1, "x", "1"), ("b", 1, "x", "2"), ("c", 1, "x", "3"))
    assert [row[0] for row in run(rows(ALL, KEYED, ["3", "1"], EVERY), incoming=table)] == ["a", "c"]


def test_a_row_without_a_partition_is_kept_for_the_audit() -> None:
    table = flights(("a", 1, "x", None), ("b", 1, "x", "1"))
    assert {row[0] for row in run(rows(ALL, KEYED, ["1"], EVERY), incoming=table)} == {"a", "b"}


def test_equal_rows_of_a_keyed_table_collapse_and_differing_ones_do_not() -> None:
    table = flights(("a", 1, "x", "1"), ("a", 1, "x", "1"), ("a", 1, None, "1"), ("a", 1, None, "1"))
    assert len(run(rows(ALL, KEYED, ["1"], EVERY), incoming=table)) == 2


def test_equal_rows_of_a_table_without_a_key_all_stay() -> None:
    table = flights(("a", 1, "x", "1"), ("a", 1, "x", "1"))
    assert len(run(rows(ALL, Shape(partition="month"), ["1"], EVERY), incoming=table)) == 2


def test_rows_stand_in_the_order_of_partition_and_key() -> None:
    table = flights(("b", 1, "x", "1"), ("a", 1, "x", "2"), ("a", 2, "x", "1"))
    assert [(row[3], row[0]) for row in run(rows(ALL, KEYED, ["1", "2"], EVERY), incoming=table)] == [
        ("1", "a"), ("1", "b"), ("2", "a")
    ]  # fmt: skip


def test_a_row_of_no_partition_that_there_is_comes_along_to_be_refused() -> None:
    table = flights(("a", 1, "x", "1"), ("b", 1, "x", "2"), ("c", 1, "x", "9"), ("d", 1, "x", ""))
    assert {row[0] for row in run(rows(ALL, KEYED, ["1"], EVERY), incoming=table)} == {"a", "c", "d"}


@pytest.mark.parametrize("comment", ["-- the end", "/* the end */"])
def test_a_query_may_end_in_a_comment(comment: str) -> None:
    table = flights(("a", 1, "x", "1"))
    assert len(run(rows(f"{ALL} {comment}", KEYED, ["1"], EVERY), incoming=table)) == 1


def test_names_and_values_with_quotes_are_taken_as_they_are() -> None:
    table = pa.table({'o"clock': ["it's", "b"]})
    shape = Shape(key=('o"clock',), partition='o"clock')
    assert run(rows(ALL, shape, ["it's"], ["b", "it's"]), incoming=table) == [("it's",)]
    assert sorted(run("SELECT " + quoted('o"clock') + " FROM incoming.rows", incoming=table)) == [("b",), ("it's",)]


def test_rows_of_a_table_that_keeps_what_stands_come_as_they_are() -> None:
    table = flights(("b", 1, "x", "1"), ("b", 1, "x", "1"), ("a", 1, "x", "2"))
    assert len(run(rows(ALL, MERGED, ["1"], EVERY), incoming=table)) == 2
