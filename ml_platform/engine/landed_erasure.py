"""The erasure of rows from landed files: our copy is written again without them, and its source knows it by both names.

The rows that stay keep the places that they landed with. Of the file without the others nothing is read again, whatever
becomes of its table; and the file as it was is not landed again, though its origin, which is not ours, may hold it on.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem, FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.ingest import Source
from ml_platform.engine.landed import offered, rows_of
from ml_platform.engine.landed_file import LandedFile, identified
from ml_platform.engine.manifest import APP_ID, Entry, Manifest
from ml_platform.engine.source_files import COMPRESSIONS, format_of
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import AuditError, DeclarationError
from ml_platform.roles.lakehouse import Lakehouse

_ORIGINALS = "platform/erased"
_NAMES = "originals.json"

# Digest of a landed file → places of the rows that go, each with its partition: empty where the source has none, None
# for a row that was quarantined.
Places = Mapping[str, Mapping[int, str | None]]


def erase_landed(source: Source, places: Places, every: Collection[str], lakehouse: Lakehouse) -> list[str]:
    """The paths of the landed files that were written again without some rows; those that were already are not.

    every: all partitions. Raises DeclarationError where a file has rows that no run has taken yet, for they would be
    taken by nobody afterwards; AuditError where what would be left is not what was there but for these rows.
    """
    rows = delta.existing(lakehouse.table(source.key))
    manifest = Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, rows)
    files = filesystem(lakehouse.files(source.landing))
    done = []
    for path in offered(source, files):
        file = identified(path, files, room_bytes=2**62)
        landed, gone = _landed_as(file.digest, lakehouse)
        going = {place: part for place, part in places.get(landed, {}).items() if place not in gone}
        if not going:
            continue
        _require_taken(source, path, landed, manifest)
        # Rows are named by their places in the file as it landed; some of it may be gone already.
        left = _without(source, file, files, {at - sum(it < at for it in gone) for at in going}, list(every))
        _remember(landed, _digest(left), {*gone, *going}, lakehouse)
        _account(source, manifest, LandedFile(path, landed, 0), left, going, lakehouse)
        put(files, path, left)
        manifest = Manifest.load(lakehouse.table(f"{source.key}__manifest"), source.partition, rows)
        done.append(path)
    return done


def originals(lakehouse: Lakehouse) -> frozenset[str]:
    """The digests of files of which rows were erased, as they were: these are not landed again."""
    return frozenset(_states(lakehouse))


def _states(lakehouse: Lakehouse) -> dict[str, dict[str, list[int]]]:
    """Digest of a file as it landed → digest of it without some rows → the places of those."""
    files = filesystem(lakehouse.files(_ORIGINALS))
    if files.get_file_info(_NAMES).type != FileType.File:
        return {}
    with files.open_input_stream(_NAMES) as stream:
        found: dict[str, dict[str, list[int]]] = json.loads(stream.read())
    return found


def _landed_as(digest: str, lakehouse: Lakehouse) -> tuple[str, frozenset[int]]:
    """The digest that a file landed with, and the places of the rows that it has lost since."""
    for original, states in _states(lakehouse).items():
        if digest in states:
            return original, frozenset(states[digest])
    return digest, frozenset()


def _remember(original: str, now: str, gone: Collection[int], lakehouse: Lakehouse) -> None:
    """Written down before it is so: whoever is stopped finds the file in one state or in the other."""
    states = _states(lakehouse)
    states.setdefault(original, {})[now] = sorted(gone)
    put(filesystem(lakehouse.files(_ORIGINALS)), _NAMES, json.dumps(states).encode())


def _require_taken(source: Source, path: str, digest: str, manifest: Manifest) -> None:
    held = {entry.partition for entry in manifest.entries if entry.digest == digest and entry.sequence is not None}
    waits = [it.partition for it in manifest.entries if it.digest == digest and it.partition not in held]
    if waits:
        raise DeclarationError(
            f"{path} has rows of {', '.join(sorted(set(waits)))} that no run has taken, but a file of which rows "
            "were erased is not read again",
            remedy=f"Materialize {source.key} for these partitions first",
        )


def _without(source: Source, file: LandedFile, files: FileSystem, places: set[int], every: list[str]) -> bytes:
    """The bytes of the file without the rows at these places, and with every other one."""
    if file.content is None:
        raise AssertionError(f"{file.path} was identified without its bytes")
    compression = COMPRESSIONS.get(f".{file.path.rpartition('.')[2]}")
    name = file.path.rpartition(".")[0] if compression else file.path
    kind = format_of(file.path if compression is None else name, source.format)
    plain = pa.CompressedInputStream(pa.BufferReader(file.content), compression) if compression else None
    text = bytes(plain.read() if plain else file.content)
    left = _parquet(text, places) if kind == "parquet" else b"".join(_lines(text, places, csv=kind == "csv"))
    content = _compressed(left, compression)
    again = replace(file, digest=_digest(content), size_bytes=len(content), content=pa.py_buffer(content))
    before, after = (_count(source, one, files, every) for one in (file, again))
    if before - after != len(places):
        raise AuditError(
            f"{file.path} has {before} rows and would have {after} without {len(places)}, but exactly these go",
            remedy="Report it; nothing was written",
        )
    return content


def _lines(text: bytes, places: set[int], *, csv: bool) -> Iterator[bytes]:
    """The lines but for the records at these places. A quoted field of CSV may hold line breaks."""
    number, record = (-1 if csv else 0), b""
    single = csv and b"," not in text.partition(b"\n")[0]
    for line in io.BytesIO(text):
        record += line
        if csv and record.count(b'"') % 2:
            continue
        counts = bool(record.strip()) or single
        if not counts or number not in places:
            yield record
        number, record = number + counts, b""
    yield record


def _parquet(content: bytes, places: set[int]) -> bytes:
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(content))
    kept = table.filter(pa.array([at not in places for at in range(table.num_rows)], pa.bool_()))
    written = pa.BufferOutputStream()
    pq.write_table(kept, written)
    return bytes(written.getvalue())


def _compressed(content: bytes, compression: str | None) -> bytes:
    if compression is None:
        return content
    written = pa.BufferOutputStream()
    with pa.CompressedOutputStream(written, compression) as stream:
        stream.write(content)
    return bytes(written.getvalue())


def _count(source: Source, file: LandedFile, files: FileSystem, every: list[str]) -> int:
    return sum(part.rows.num_rows + len(part.misfits) for part in rows_of(source, file, files, every, seen=True))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _account(
    source: Source,
    manifest: Manifest,
    file: LandedFile,
    left: bytes,
    places: Mapping[int, str | None],
    lakehouse: Lakehouse,
) -> None:
    """The manifest knows the file without these rows, of which nothing is to be taken, and counts fewer of the old."""
    location = lakehouse.table(f"{source.key}__manifest")
    before = delta.existing(location)
    sequence = delta.transaction(location, APP_ID, before.version) or 0
    known = _digest(left)
    if any(entry.digest == known for entry in manifest.entries):
        return  # whoever was stopped behind this had it written down
    gone = {partition: list(places.values()).count(partition) for partition in set(places.values())}
    entries = [_fewer(entry, gone) if entry.digest == file.digest else entry for entry in manifest.entries]
    entries.append(Entry(file.path, known, len(left), "", 0, sequence, datetime.now(UTC)))
    table: Any = pa.Table.from_pylist([asdict(entry) for entry in entries], schema=before.schema)
    stood = present(location)
    staged = stage(table.to_batches(), before.schema, location)
    with undone_on_failure(staged, stood):
        delta.commit(staged, read=before, replaced=before.files, transactions={APP_ID: sequence}, evidence={})


def _fewer(entry: Entry, gone: Mapping[str | None, int]) -> Entry:
    """The entry with fewer rows; what was taken from it twice, as by a replay, is not told apart."""
    return replace(entry, rows=max(0, entry.rows - gone.get(entry.partition, 0)))
