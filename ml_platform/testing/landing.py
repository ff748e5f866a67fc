"""The contract of landings whose files come from an object store, into whichever lakehouse is bound."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import NativeFile
from pyarrow.fs import FileSystem

from ml_platform import binding
from ml_platform.engine import delta, landing
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.ingest import Source, ingest
from ml_platform.engine.landing import land
from ml_platform.errors import SourceError
from ml_platform.records.table import Location
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.testing.project import embedded_services

_KEY = "landing/numbers"
_SOURCE = Source("bronze/numbers", _KEY, "numbers/*", {"n": "int64"})


class ObjectStoreLandingContract:
    """What a store keeps that files are brought from. Inherit it and supply `lakehouse` and `origin`."""

    @pytest.fixture
    def lakehouse(self) -> Lakehouse:
        """A lakehouse in the store, that holds nothing."""
        raise NotImplementedError

    @pytest.fixture
    def origin(self) -> str:
        """URI of a folder of the store, outside the lakehouse and empty."""
        raise NotImplementedError

    @pytest.fixture
    def offered(self, lakehouse: Lakehouse, origin: str) -> dict[str, bytes]:
        """The files that stand there, by path."""
        table, parquet = pa.table({"n": [3, 4]}), pa.BufferOutputStream()
        pq.write_table(table, parquet)
        contents = {
            "numbers/a.csv.gz": gzip.compress(b"n\n1\n", mtime=0),
            "numbers/b.jsonl": b'{"n": 2}\n',
            "numbers/c.parquet": bytes(parquet.getvalue()),
            "letters/d.csv": b"l\nx\n",
        }
        store = filesystem(Location("origin", origin, lakehouse.files(_KEY).storage_options))
        for path, content in contents.items():
            put(store, path, content)
        return contents

    @pytest.mark.parametrize("large", [False, True])
    def test_what_stands_in_the_store_lands_in_it_and_is_ingested_once(
        self, lakehouse: Lakehouse, origin: str, offered: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, large: bool
    ) -> None:
        if large:
            monkeypatch.setattr("ml_platform.engine.ingest.HELD_BYTES", 0)
        _require_brought_and_ingested(lakehouse, origin, offered)

    def test_what_stands_in_the_store_lands_on_this_machine_too(
        self, tmp_path: Path, origin: str, offered: dict[str, bytes]
    ) -> None:
        here = binding.build(embedded_services(tmp_path, "test")["lakehouse"])
        _require_brought_and_ingested(here, origin, offered)

    def test_what_has_landed_stays_where_its_file_goes_while_a_newer_one_is_brought(
        self, lakehouse: Lakehouse, origin: str, offered: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        land(_KEY, origin, "letters/*", lakehouse)
        store = filesystem(Location("origin", origin, lakehouse.files(_KEY).storage_options))
        put(store, "letters/d.csv", b"l\nnewer\n")
        reading = landing._reading

        def gone(path: str, source: FileSystem) -> NativeFile:
            store.delete_file(path)
            return reading(path, source)

        monkeypatch.setattr(landing, "_reading", gone)
        with pytest.raises(SourceError, match=r"letters/d\.csv was listed, but it is gone"):
            land(_KEY, origin, "letters/*", lakehouse)
        with filesystem(lakehouse.files(_KEY)).open_input_stream("letters/d.csv", compression=None) as stream:
            assert stream.read() == offered["letters/d.csv"]

    def test_a_folder_of_the_store_without_such_files_is_named(self, lakehouse: Lakehouse, origin: str) -> None:
        with pytest.raises(SourceError, match=r"landing/numbers brings numbers/\*, but no file of its origin matches"):
            land(_KEY, f"{origin}/nothing", "numbers/*", lakehouse)


def _require_brought_and_ingested(lakehouse: Lakehouse, origin: str, offered: dict[str, bytes]) -> None:
    first, again = (land(_KEY, origin, "numbers/*", lakehouse) for _ in range(2))
    assert (first.written, first.unchanged, again.written, again.unchanged) == (3, 0, 0, 3)
    landed = filesystem(lakehouse.files(_KEY))
    for path in ("numbers/a.csv.gz", "numbers/b.jsonl", "numbers/c.parquet"):
        with landed.open_input_stream(path, compression=None) as stream:
            assert stream.read() == offered[path]
    made = ingest(_SOURCE, [""], [""], lakehouse)
    assert sorted(delta.read_rows(made.snapshot)["n"].to_pylist()) == [1, 2, 3, 4]
    assert ingest(_SOURCE, [""], [""], lakehouse).commit.unchanged
