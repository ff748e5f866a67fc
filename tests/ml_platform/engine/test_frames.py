from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ml_platform.engine.frames import call
from ml_platform.errors import DeclarationError

FLIGHTS = pa.table({"n": [3, 1, None]})


def written(folder: Path, text: str) -> Path:
    path = folder / "doubled.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "import polars as pl\ndef doubled(flights: pl.DataFrame) -> pl.DataFrame:\n"
        "    assert isinstance(flights, pl.DataFrame)\n    return flights.select(pl.col('n') * 2)",
        "from __future__ import annotations\nimport polars as pl\ndef doubled(flights: pl.DataFrame) -> pl.DataFrame:\n"
        "    return flights.select(pl.col('n') * 2)",
        "import pandas as pd\ndef doubled(flights: pd.DataFrame) -> pd.DataFrame:\n"
        "    assert isinstance(flights, pd.DataFrame)\n    return (flights * 2).astype('Int64')",
        "import pyarrow as pa\nimport pyarrow.compute as pc\ndef doubled(flights: pa.Table) -> pa.Table:\n"
        "    return pa.table({'n': pc.multiply(flights['n'], 2)})",
    ],
    ids=["polars", "postponed", "pandas", "arrow"],
)
def test_a_function_gets_the_frames_that_it_asks_for(tmp_path: Path, text: str) -> None:
    assert call(written(tmp_path, text), "doubled", {"flights": FLIGHTS})["n"].to_pylist() == [6, 2, None]


def test_a_pandas_index_is_no_column(tmp_path: Path) -> None:
    text = "import pandas as pd\ndef doubled(flights: pd.DataFrame):\n    return flights.sort_values('n')"
    assert call(written(tmp_path, text), "doubled", {"flights": FLIGHTS}).column_names == ["n"]


def test_parameters_are_named_as_the_inputs(tmp_path: Path) -> None:
    path = written(tmp_path, "def doubled(flight):\n    return flight")
    with pytest.raises(DeclarationError, match=r"doubled\(flight\) is declared with the inputs flights"):
        call(path, "doubled", {"flights": FLIGHTS})


def test_a_file_without_the_function_names_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "def double(flights):\n    return flights")
    with pytest.raises(DeclarationError, match=r"has no function doubled.*Did you mean double"):
        call(path, "doubled", {"flights": FLIGHTS})


def test_what_is_no_frame_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "def doubled(flights):\n    return [1]")
    with pytest.raises(DeclarationError, match="doubled gave a list, but a table is made from a frame"):
        call(path, "doubled", {"flights": FLIGHTS})


def test_an_error_of_the_function_is_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "def doubled(flights):\n    raise ZeroDivisionError('mine')")
    with pytest.raises(ZeroDivisionError, match="mine"):
        call(path, "doubled", {"flights": FLIGHTS})
