from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_platform.engine import absence, delta
from ml_platform.engine.erasure import erase_rows, sweep
from ml_platform.engine.erasure_plan import Plan
from ml_platform.engine.staging import stage
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.lakehouse import EmbeddedLakehouse

KEY, OF = "N10156", {"silver/a": [{"id": "N10156"}]}


def left(lakehouse: EmbeddedLakehouse, *besides: str) -> list[str]:
    return list(absence.in_tables(OF, besides, [KEY], lakehouse))


@pytest.fixture
def swept(put: Any, lakehouse: EmbeddedLakehouse) -> Path:
    """The folder of a table that the key is gone from."""
    put("silver/a", {"id": [KEY, "N2"]})
    erase_rows("silver/a", OF["silver/a"], lakehouse)
    sweep(lakehouse.table("silver/a"))
    assert left(lakehouse) == []
    return Path(lakehouse.table("silver/a").uri)


def test_before_a_sweep_old_files_and_statistics_tell_of_it(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/a", {"id": [KEY, "N2"]})
    erase_rows("silver/a", OF["silver/a"], lakehouse)
    told = " ".join(left(lakehouse))
    assert "silver/a has a file that no version names" in told
    assert "silver/a holds rows of it in" in told
    assert "silver/a has a log of older versions" in told
    # the least of its column
    assert f"silver/a tells of it in _delta_log/{0:020}.json" in told


def test_a_file_that_was_staged_and_never_committed_is_found(swept: Path, lakehouse: EmbeddedLakehouse) -> None:
    snap = delta.existing(lakehouse.table("silver/a"))
    import pyarrow as pa

    staged = stage(pa.table({"id": [KEY]}).to_batches(), snap.schema, snap.location)
    assert f"silver/a holds rows of it in {staged.files[0].path}" in left(lakehouse)


@pytest.mark.parametrize("text", [KEY, f'{{"tail": "{KEY}"}}'])
def test_it_is_found_in_a_table_that_nobody_thought_of(
    swept: Path, put: Any, lakehouse: EmbeddedLakehouse, text: str
) -> None:
    put("gold/notes", {"note": ["nothing", text]})
    assert any(it.startswith("gold/notes holds it in column note of ") for it in left(lakehouse, "gold/notes"))


def test_what_cannot_be_looked_through_is_not_proven(swept: Path, lakehouse: EmbeddedLakehouse) -> None:
    (swept / "broken.parquet").write_bytes(b"PAR1")
    assert any(it.startswith("silver/a cannot be looked through: ") for it in left(lakehouse))


def test_a_model_that_holds_it_as_a_category_is_named(tmp_path: Path) -> None:
    registry = MemoryModelRegistry()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "encoder.json").write_text(f'["{KEY}"]')
    registry.register("late", tmp_path / "package", {})
    registry.record("late", 1, {"slices": f'{{"tail": "{KEY}"}}'})
    assert list(absence.in_models([KEY], registry)) == [
        "models/late version 1 holds it in its tags",
        "models/late version 1 holds it in encoder.json",
    ]
    assert list(absence.in_models([], registry)) == []


def test_landed_files_are_looked_through_as_they_lie(lakehouse: EmbeddedLakehouse) -> None:
    import gzip

    landing = Path(lakehouse.files("landing/a").uri)
    landing.mkdir(parents=True)
    (landing / "a.csv.gz").write_bytes(gzip.compress(f"id\n{KEY}\n".encode()))
    assert list(absence.in_files(["landing/a"], [KEY], lakehouse)) == ["landing/a holds it in a.csv.gz"]


@pytest.mark.parametrize("key", ["José-77", 'O"Neil', "Smith & Co", "a/b c"])
def test_it_is_found_however_it_is_spelt(key: str, put: Any, lakehouse: EmbeddedLakehouse) -> None:
    folder = Path(lakehouse.files("platform/data_cards").uri)
    folder.mkdir(parents=True)
    (folder / "ascii.json").write_text(json.dumps({"seen": key}))
    (folder / "plain.json").write_text(json.dumps({"seen": key}, ensure_ascii=False))
    (folder / "page.html").write_text(f"<p>{html.escape(key)}</p>")
    (folder / "rows.csv").write_text('id\n"' + key.replace('"', '""') + '"\n')
    pq.write_table(pa.table({"id": [key]}), folder / "rows.parquet")
    found = {line.rpartition(" ")[2] for line in absence.in_files(["platform/data_cards"], [key], lakehouse)}
    assert found == {"ascii.json", "plain.json", "page.html", "rows.csv", "rows.parquet"}
    put("gold/notes", {"note": [json.dumps({"id": key}, ensure_ascii=False)]})
    put("gold/others", {"note": [json.dumps({"id": key})]})
    for name in ("gold/notes", "gold/others"):
        assert any("column note" in line for line in absence.in_tables({}, [name], [key], lakehouse))


@pytest.mark.parametrize(
    ("key", "told"), [({"id": KEY}, {KEY, "N1.x"}), ({"id": KEY, "day": "1"}, set()), ({"n": 7}, {"N1.x"})]
)
def test_only_a_text_that_is_the_whole_key_is_looked_for_as_one(key: dict[str, Any], told: set[str]) -> None:
    rows = {"a/b": [dict(key)], "c/d": [{"name": "N1.x"}], "e/f": [{"short": "N1"}]}
    assert absence.texts(Plan("a/b", key, rows)) == told
