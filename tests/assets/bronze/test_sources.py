"""Every source as declared reads the files that land for it."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from ml_platform.engine.source_files import read_csv

_SOURCES = {
    file.parent.name: yaml.safe_load(file.read_text())["attributes"]
    for file in (Path(__file__).parents[3] / "assets/bronze").glob("*/defs.yaml")
}


@pytest.fixture(scope="module")
def december() -> dict[str, pl.DataFrame]:
    from assets.landing.flights.flights import landing_files, package_data

    return landing_files(package_data(), ["2013-12"], 100)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.parametrize("name", sorted(_SOURCES))
def test_a_landed_file_is_read_as_declared(name: str, december: dict[str, pl.DataFrame], tmp_path: Path):
    source: dict[str, Any] = _SOURCES[name]
    path, rows = next((path, rows) for path, rows in december.items() if fnmatch(path, source["files"]))
    rows.write_csv(tmp_path / "landed.csv")

    read = read_csv(SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "landed.csv", source["columns"])

    assert read.column_names == rows.columns
    assert read.num_rows == rows.height > 0
    assert read["known_at"].null_count == read["event_time"].null_count == 0
    assert path.startswith(f"{name}/")


def test_every_kind_of_file_has_one_source(december: dict[str, pl.DataFrame]):
    taken = {path: [name for name in _SOURCES if fnmatch(path, _SOURCES[name]["files"])] for path in december}

    assert {len(names) for names in taken.values()} == {1}
    assert {name for names in taken.values() for name in names} == set(_SOURCES)
