from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, MONTHS, STORES, Made, declaration, orders, project


def keys(found: object) -> set[str]:
    return {key.to_user_string() for key in found}  # type: ignore[attr-defined]


def test_query_is_the_assets_dependencies(made: Made) -> None:
    node = made.project.node("silver/orders")
    assert keys(node.parent_keys) == {"bronze/orders"}
    assert node.kinds == {"deltalake", "sql", "silver"}
    assert node.partitions_def == made.project.node("bronze/orders").partitions_def


def test_python_table_depends_on_its_inputs(made: Made) -> None:
    node = made.project.node("gold/store_month")
    assert keys(node.parent_keys) == {"silver/orders", "bronze/stores"}
    assert node.kinds == {"deltalake", "python", "gold"}


def test_table_says_what_it_holds_and_which_versions_it_read(made: Made) -> None:
    said = made.first.said["gold/store_month"]
    assert said["dagster/row_count"] == len(MONTHS) * len(STORES)
    assert said["dagster/table_name"] == "gold.store_month"
    read = {record.data["table"]: record.data["version"] for record in said["read"].records}
    assert read == {"silver/orders": 0, "bronze/stores": 0}
    assert said["read"].records[0].data["fingerprint"] == made.first.data_versions["silver/orders"]
    assert [column.name for column in said["dagster/column_schema"].columns] == [
        "store",
        "month",
        "orders",
        "amount",
        "size",
    ]


def test_rows_are_those_of_the_query_and_of_the_function(made: Made) -> None:
    sold = sum(number * 37 % 100 for number in range(60)) * len(MONTHS)
    assert made.project.rows("gold/totals") == [{"orders": 240, "amount": sold}]
    rows = made.project.rows("gold/store_month")
    assert {row["orders"] for row in rows} == {20}
    assert sum(row["amount"] for row in rows) == sold


def test_partitions_have_their_own_counts(made: Made) -> None:
    each = made.first.partitions["gold/store_month"]
    assert {month: said["dagster/partition_row_count"] for month, said in each.items()} == dict.fromkeys(MONTHS, 3)


def test_later_report_of_a_key_wins_a_merge(shop: Project) -> None:
    shop.run("group:bronze or group:silver", EVERYTHING)
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1).replace(",0.0,", ",99.5,").replace("T07:", "T09:"))
    ran = shop.run("group:bronze or group:silver", "2024-02...2024-02")
    row = next(row for row in shop.rows("silver/orders") if row["order_id"] == "2024-02-000")
    assert row["amount"] == 99.5
    assert len(shop.rows("silver/orders")) == 240
    assert ran.said["silver/orders"]["dagster/partition_row_count"] == 60


def test_two_rows_with_one_key_fail_the_run_and_the_table_stands(shop: Project) -> None:
    shop.run("group:bronze or group:silver", EVERYTHING)
    before = shop.version("silver/orders")
    shop.land(LANDING, "orders/twice.csv", orders("2024-02", 1).replace(",0.0,", ",99.5,"))
    shop.change("silver/orders/defs.yaml", "write: merge\n  newest: known_at", "write: overwrite")
    ran = shop.run("group:bronze or group:silver or group:gold", EVERYTHING)
    assert not ran.success
    assert "silver/orders has 1 keys that break its key (order_id)" in ran.failures["silver/orders"]
    assert "order_id=2024-02-000 (2 rows)" in ran.failures["silver/orders"]
    assert "gold/totals" not in ran.said
    assert shop.version("silver/orders") == before


def test_key_column_that_no_query_makes_is_refused_with_the_nearest(shop: Project) -> None:
    shop.change("gold/totals/defs.yaml", "together.", "together.\n  key: [order]")
    with pytest.raises(DeclarationError, match=r"gold/totals/defs.yaml: .* column order, .*Did you mean orders\?"):
        _ = shop.definitions


def test_key_column_that_an_undeclared_function_does_not_make_fails_the_run(tables: Project) -> None:
    tables.change("gold/store_month/defs.yaml", "[store, month]", "[shop, month]")
    assert "shop" in tables.run('key:"gold/store_month"', EVERYTHING).failures["gold/store_month"]


def test_missing_input_names_what_to_make_first(shop: Project) -> None:
    assert "Materialize silver/orders first" in shop.run("gold/totals").failures["gold/totals"]


def test_query_that_does_not_run_fails_with_the_engines_words(tables: Project) -> None:
    tables.write("gold/totals/totals.sql", "SELECT sum(store) AS amount FROM silver.orders")
    assert "sum(VARCHAR)" in tables.run("gold/totals").failures["gold/totals"]


def test_two_columns_of_one_name_are_refused_by_line_when_definitions_load(shop: Project) -> None:
    shop.write("gold/totals/totals.sql", "SELECT store,\n  amount AS Store FROM silver.orders")
    said = r"gold/totals/totals\.sql:2: it gives the columns store and Store, but every column of a table has a name"
    with pytest.raises(DeclarationError, match=said):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("silver/orders/defs.yaml", "  key: [order_id]\n", "", "write is 'merge', but the table has no key"),
        ("silver/orders/defs.yaml", "partitioned:", "partitoned:", "partitoned is set.*Did you mean partitioned"),
        ("silver/orders/defs.yaml", "true", "[1]", r"partitioned is \[1\], but that cannot be: .*valid boolean"),
        (
            "silver/orders/defs.yaml",
            "merge",
            "upsert",
            "write is 'upsert', but that cannot be: .*'overwrite', 'append', 'merge' or",
        ),
        ("silver/orders/defs.yaml", ".Table", ".Tabel", "no such component. Did you mean ml_platform.components.Table"),
        ("silver/orders/defs.yaml", "type:", "type: [", "the file is not YAML"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, path: str, old: str, new: str, message: str) -> None:
    shop.change(path, old, new)
    with pytest.raises(DeclarationError, match=rf"{path}.*{message}"):
        _ = shop.definitions


def test_back_dated_file_travels_down_and_only_what_it_touches_is_read_and_made(shop: Project) -> None:
    tables = "group:bronze or group:silver or group:gold"
    shop.run(tables, EVERYTHING)
    # given one late order of February among 240
    shop.land(LANDING, "orders/late.csv", orders("2024-02", 1, first=60))
    ran = shop.run(tables, EVERYTHING)
    # then the merge reads that row alone
    silver, gold, totals = (ran.said[key] for key in ("silver/orders", "gold/store_month", "gold/totals"))
    assert (silver["reading"], silver["rows_read"], silver["rows_in_inputs"]) == ("incremental", 1, 241)
    assert silver["rows_added"] - silver["rows_removed"] == 1
    # the partitioned table below reads February, with the stores that it looks up, and makes no other month
    assert gold["rows_read"] == 61 + len(STORES)
    outcomes = {month: said["partition_outcome"] for month, said in ran.partitions["gold/store_month"].items()}
    assert outcomes == {month: "made" if month == "2024-02" else "unchanged" for month in MONTHS}
    # and one row of all months says that it read everything
    assert (totals["rows_read"], totals["reading"]) == (241, "full, because what is overwritten is made whole")
    assert shop.rows("gold/totals")[0]["orders"] == 241


KILLED = """
import os, sys
from pathlib import Path
from ml_platform.testing import shop

project = shop.project(Path(sys.argv[1]))
project.write("gold/totals/totals.sql", "")
(project.root / "gold/totals/totals.sql").unlink()
project.change("gold/totals/defs.yaml", "together.", "together.\\n  inputs: [gold/store_month]")
project.write("gold/totals/totals.py", "import os\\n\\ndef totals(store_month):\\n    os.kill(os.getpid(), 9)\\n")
project.run("group:bronze or group:silver or group:gold", shop.EVERYTHING)
"""


def test_backfill_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    # given a run of all months that is killed at its last table
    done = subprocess.run([sys.executable, "-P", "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == -9
    # when the same is asked again
    ran = project(tmp_path).run("group:bronze or group:silver or group:gold", EVERYTHING)
    # then what was committed is not done again
    assert ran.success
    made = {key: said["outcome"] == "unchanged" for key, said in ran.said.items()}
    assert made == {
        "bronze/orders": True,
        "bronze/stores": True,
        "silver/orders": True,
        "gold/store_month": True,
        "gold/totals": False,
    }
    assert ran.said["silver/orders"]["rows_read"] == 0


def test_history_is_made_of_what_a_query_selects(shop: Project) -> None:
    shop.write(
        "silver/store_amounts/defs.yaml",
        declaration(
            "Table",
            """
            description: What each store sold last, and until when that was so.
            key: [store]
            write: history
            newest: event_time
            """,
        ),
    )
    shop.write("silver/store_amounts/store_amounts.sql", "SELECT store, event_time, returned FROM bronze.orders\n")
    shop.run("group:bronze", EVERYTHING)
    shop.run('key:"silver/store_amounts"')
    rows = shop.rows("silver/store_amounts")
    assert {row["store"] for row in rows if row["is_current"]} == set(STORES)
    for store in STORES:
        mine = sorted((row for row in rows if row["store"] == store), key=lambda row: row["valid_from"])
        assert [row["valid_to"] for row in mine[:-1]] == [row["valid_from"] for row in mine[1:]]
        assert all(one["returned"] != other["returned"] for one, other in itertools.pairwise(mine))
    assert shop.run('key:"silver/store_amounts"').said["silver/store_amounts"]["outcome"] == "unchanged"
