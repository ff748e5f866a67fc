"""What a landed file reached: the rows that came of it, and every version, model, endpoint and prediction beyond."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_platform.engine import delta
from ml_platform.engine.consequences import Consequences
from ml_platform.engine.declared import Declared
from ml_platform.engine.integrity import versions_of
from ml_platform.engine.manifest import Manifest
from ml_platform.engine.staging import present
from ml_platform.engine.table_log import TableLog
from ml_platform.errors import NotFoundError, nearest
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot
from ml_platform.records.taint import Seeds
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

_ROWS = "reached.rows"
_DIGEST_LETTERS = 32
_SHORTEST = 8


@dataclass(frozen=True)
class Landed:
    """A file that was landed and taken. rows: partition → how many; sequence: of the first batch that took any."""

    source: str
    path: str
    digest: str
    rows: Mapping[str, int]
    sequence: int | None


@dataclass(frozen=True)
class Predicted:
    """Predictions that something reached. asked: the endpoint's log or the batch table. ids: of those in it."""

    asked: str
    ids: Sequence[str]


def landed(declared: Declared, lakehouse: Lakehouse) -> list[Landed]:
    """Every file that a source ever took, as the manifests have them."""
    found: dict[tuple[str, str, str], Landed] = {}
    for key, source in declared.sources.items():
        rows = delta.snapshot(lakehouse.table(key))
        manifest = Manifest.load(lakehouse.table(f"{key}__manifest"), source.partition, rows)
        for entry in manifest.entries:
            name = (key, entry.path, entry.digest)
            one = found.setdefault(name, Landed(key, entry.path, entry.digest, {}, entry.sequence))
            sequences = [it for it in (one.sequence, entry.sequence) if it is not None]
            counts = {**one.rows, entry.partition: one.rows.get(entry.partition, 0) + entry.rows}
            taken = counts if entry.rows and entry.sequence is not None else one.rows
            found[name] = Landed(key, entry.path, entry.digest, taken, min(sequences, default=None))
    return list(found.values())


def named(name: str, declared: Declared, lakehouse: Lakehouse) -> list[Landed]:
    """The files that go by a path, a name or a digest, or that hold what a file of this machine holds.

    Raises NotFoundError, naming the nearest, where none does.
    """
    every = landed(declared, lakehouse)
    here = Path(name)
    digest = hashlib.sha256(here.read_bytes()).hexdigest()[:_DIGEST_LETTERS] if here.is_file() else name
    found = [it for it in every if _goes_by(it, name, digest)]
    if not found:
        known = {*(it.path for it in every), *(it.path.rpartition("/")[2] for it in every)}
        raise NotFoundError(
            f"the file is {name!r}, but no landed file goes by it, and none holds the same",
            allowed=nearest(name, known),
        )
    return found


def holding(of: Landed, logs: Mapping[str, TableLog], lakehouse: Lakehouse) -> Seeds:
    """The data files, of all versions that can be opened, that hold rows of a landed file."""
    location = lakehouse.table(of.source)
    snap = delta.snapshot(location)
    if snap is None or of.source not in logs:
        return Seeds()
    there = present(location)
    paths = [path for path in versions_of(logs[of.source]) if path in there]
    return Seeds({of.source: [path for path in paths if _holds(snap, path, of.digest)]})


def predicted(
    found: Consequences, declared: Declared, logs: Mapping[str, TableLog], lakehouse: Lakehouse, compute: Compute
) -> list[Predicted]:
    """The predictions that were made of something touched, or that a model gave which learned from it.

    Of served ones those that were answered by such a model, and those that came while a touched version of a feature
    view stood: these may have seen it.
    """
    reached = []
    for key, model in declared.models.items():
        batch = key.startswith("predictions/")
        ids = (
            _scored(key, found, declared, lakehouse, compute)
            if batch
            else _served(
                key,
                {pin.number for pin in found.models if pin.model == model.rpartition("/")[2]},
                _first(found, [it for it in declared.reads.get(key, ()) if it in declared.views], logs),
                lakehouse,
                compute,
            )
        )
        if ids:
            reached.append(Predicted(key if batch else f"{key}__log", ids))
    return reached


def _goes_by(of: Landed, name: str, digest: str) -> bool:
    shortened = len(name) >= _SHORTEST and of.digest.startswith(name.lower())
    return shortened or of.digest == digest or name in (of.path, of.path.rpartition("/")[2])


def _holds(snap: TableSnapshot, path: str, digest: str) -> bool:
    one = DataFile(path, 0, 0, dict.fromkeys(snap.partition_by, ""))
    alone = StagedFiles(snap.location, snap.schema, snap.partition_by, (one,))
    return digest in delta.read_rows(alone, ["_source_digest"])["_source_digest"].unique().to_pylist()


def _scored(key: str, found: Consequences, declared: Declared, lakehouse: Lakehouse, compute: Compute) -> Sequence[str]:
    snap = delta.snapshot(lakehouse.table(key))
    if snap is None:
        return []
    files = tuple(file for file in snap.files if file.path in found.files.get(key, ()))
    part = TableSnapshot(snap.location, snap.schema, snap.partition_by, files, snap.version)
    if not files:
        return []
    entity = " || ',' || ".join(f'CAST("{name}" AS VARCHAR)' for name in declared.entities[key])
    rows = compute.fetch(f"SELECT DISTINCT {entity} AS id FROM {_ROWS} ORDER BY 1", {_ROWS: part})
    return [f"{key}:{name}" for name in rows["id"].to_pylist()]


def _served(key: str, numbers: set[int], since: float | None, lakehouse: Lakehouse, compute: Compute) -> Sequence[str]:
    snap = delta.snapshot(lakehouse.table(f"{key}__log"))
    if snap is None:
        return []
    which = [f"model_version IN ({', '.join(map(str, sorted(numbers)))})"] if numbers else []
    which += [f"served_at >= to_timestamp({since})"] if since is not None else []
    if not which:
        return []
    query = f"SELECT request_id FROM {_ROWS} WHERE {' OR '.join(which)} ORDER BY request_id"
    ids: list[str] = compute.fetch(query, {_ROWS: snap})["request_id"].to_pylist()
    return ids


def _first(found: Consequences, views: Sequence[str], logs: Mapping[str, TableLog]) -> float | None:
    """The moment from which on a touched version of one of the views stood."""
    moments = [
        entry.at
        for key in views
        for version in found.versions.get(key, ())
        if key in logs and (entry := logs[key].entries.get(version)) is not None
    ]
    return min(moments, default=None)
