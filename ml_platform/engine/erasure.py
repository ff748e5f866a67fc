"""An erasure: a key's rows gone from every table, its older versions and its log, from landed files and what serves.

What is planned is written down before anything goes, and is forgotten when it is proven that nothing is left: whoever
is stopped on the way goes on with the same command. Rows go in commits that change nothing else, so nothing is appended
twice and nothing is fitted by itself. No older version stays, whoever pins it: such models say that they cannot be made
again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ml_platform.engine import deleted, delta, delta_log, quarantine, table_log
from ml_platform.engine.declared import Declared
from ml_platform.engine.erasure_plan import Plan, Row, read, written
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.ingest import Source
from ml_platform.engine.integrity import versions_of
from ml_platform.engine.pins import ERASED, erased, pins
from ml_platform.engine.redaction import redaction
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.engine.table_log import read_log
from ml_platform.records.table import DataFile, Location, StagedFiles, TableSnapshot
from ml_platform.records.taint import Seeds
from ml_platform.records.upkeep import Pin
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    import polars as pl

_PLANS = "platform/erasures"
# The number under which a table keeps the version behind which an erasure left nothing.
_SWEPT = "erased"
BESIDE = ("", quarantine.SUFFIX, deleted.SUFFIX)
_QUARANTINED = ((quarantine.SUFFIX, "source_digest", "source_offset"),)
# Columns of JSON that hold a row: of a quarantine, and of what was served.
_AS_JSON = ("row", "inputs", "features")


def begun(of: Plan, lakehouse: Lakehouse) -> Plan:
    """The plan, and with it what is left of one for the same key that was stopped; it is written down."""
    files, name = filesystem(lakehouse.files(_PLANS)), _name(of)
    if files.get_file_info(name).type.name == "File":
        with files.open_input_stream(name) as stream:
            of = of.merged(read(stream.read()))
    put(files, name, written(of))
    return of


def resumed(of: Plan, planned: Plan) -> bool:
    """Whether what began is an erasure that was stopped. planned: what was planned anew."""
    return of.name != planned.name


def ended(of: Plan, lakehouse: Lakehouse) -> None:
    """The plan is forgotten, with the key that it names."""
    filesystem(lakehouse.files(_PLANS)).delete_file(_name(of))


def tables(of: Plan, declared: Declared, lakehouse: Lakehouse) -> dict[str, Sequence[Row]]:
    """Table → the rows that go, of all that stand, those beside others and the logs of endpoints included."""
    found: dict[str, Sequence[Row]] = {}
    for key, rows in of.rows.items():
        for suffix in BESIDE:
            if table_log.stands(lakehouse.table(f"{key}{suffix}")):
                found[f"{key}{suffix}"] = rows
    for endpoint, rows in served(of, declared).items():
        key = f"endpoints/{endpoint}__log"
        if table_log.stands(lakehouse.table(key)):
            found[key] = rows
    return found


def served(of: Plan, declared: Declared) -> dict[str, Sequence[Row]]:
    """Endpoint → the rows that name the key in what it was asked; where its log hides them, as their hashes too.

    Raises BindingError where a log hides the key, and the secret that it is hashed by is not there.
    """
    found = {endpoint: _served(model, of, declared) for endpoint, model in declared.endpoints.items()}
    return {
        endpoint: [*rows, *_hashed(rows, declared.redacted.get(endpoint, ()))]
        for endpoint, rows in found.items()
        if rows
    }


def places(source: Source, of: Plan, lakehouse: Lakehouse) -> dict[str, dict[int, str | None]]:
    """Where rows that go stand in landed files: digest → place → partition, which is None for a quarantined row."""
    found: dict[str, dict[int, str | None]] = {}
    for suffix, digest, offset in (("", "_source_digest", "_source_offset"), *_QUARANTINED):
        location = lakehouse.table(f"{source.key}{suffix}")
        snap = delta.snapshot(location)
        if snap is None:
            continue
        for file in snap.files:
            frame = frame_of(location, snap, file)
            for row in frame.filter(among(frame, of.rows.get(source.key, ()))).to_dicts():
                partition = None if suffix else row[source.partition] if source.partition else ""
                found.setdefault(row[digest], {})[row[offset]] = partition
    return found


def seeds(of: Mapping[str, Sequence[Row]], held: Sequence[Pin], lakehouse: Lakehouse) -> Seeds:
    """The data files, of every version that there is, that hold rows which go: what learned from them is tainted.

    held: what models pin. A version that is gone by now may have held them, so it counts as one that did.
    """
    files = {key: _holding(lakehouse.table(key), rows) for key, rows in of.items()}
    first = {key: read_log(lakehouse.table(key)).first or 0 for key in of}
    lost = {
        pin.key: {it.version for it in held if it.key == pin.key and it.version < first[pin.key]}
        for pin in held
        if pin.key in of
    }
    versions = {key: dict.fromkeys(sorted(those)) for key, those in lost.items() if those and files[key]}
    return Seeds({key: paths for key, paths in files.items() if paths}, versions)


def erase_rows(key: str, rows: Sequence[Row], lakehouse: Lakehouse) -> int:
    """How many rows went from the latest version of a table. Idempotent; a conflict with a writer is tried again."""
    return until_undisputed(lambda: _erased(lakehouse.table(key), rows))


def sweep(location: Location) -> None:
    """Nothing is left of a table but its latest version: no older file, no staged one, no older entry of its log.

    Nobody may write to it meanwhile.
    """
    table = delta_log.opened(location)
    if table is None:
        return
    table.create_checkpoint()
    # The checkpoint says what stands, and a commit behind it, which says nothing, is what writers build on.
    snap = delta.existing(location)
    nothing = StagedFiles(location, snap.schema, snap.partition_by, ())
    delta.commit(nothing, read=snap, replaced=(), transactions={_SWEPT: snap.version + 1}, evidence={})
    log, files = read_log(location), filesystem(location)
    stands = {file.path for file in delta.existing(location).files}
    for path in sorted(present(location)):
        if path.rpartition("/")[2].startswith("_") or path.startswith(f"{table_log.FOLDER}/"):
            continue
        if path not in stands:
            files.delete_file(path)
    last = max(log.checkpoints)
    going = [f"{version:020}.json" for version in sorted(log.entries) if version <= last]
    going += [name for version, names in sorted(log.checkpoints.items()) if version < last for name in names]
    for name in going:
        files.delete_file(f"{table_log.FOLDER}/{name}")


def break_pins(of: Collection[str], registry: ModelRegistry, lakehouse: Lakehouse) -> list[str]:
    """The model versions that pin an older version of one of the tables say that it is gone; which they are."""
    broken: dict[tuple[str, int], set[str]] = {}
    for pin in pins(registry, broken=True):
        if pin.key in of and pin.version < delta.existing(lakehouse.table(pin.key)).version:
            broken.setdefault((pin.model, pin.number), set()).add(pin.key)
    for (name, number), keys in broken.items():
        version = registry.version(name, str(number))
        if version is not None and not keys <= erased(version):
            registry.record(name, number, {ERASED: json.dumps(sorted(keys | erased(version)))})
    return [f"models/{name} version {number}" for name, number in sorted(broken)]


def among(frame: pl.DataFrame, rows: Sequence[Row]) -> pl.Series:
    """Of each row of a frame whether it is one of those that go: by its columns, or by those that JSON in it has."""
    import polars as pl

    found = pl.Series([False] * frame.height, dtype=pl.Boolean)
    for columns, those in _by_columns(rows).items():
        if set(columns) <= set(frame.columns):
            found = found | _matches(frame, columns, those)
        for name in set(_AS_JSON) & set(frame.columns):
            found = found | pl.Series([_in_json(text, those) for text in frame[name].to_list()], dtype=pl.Boolean)
    return found


def has(content: Mapping[str, Any], rows: Sequence[Row]) -> bool:
    """Whether a JSON object has the columns and values of one of the rows."""
    return any(
        all(name in content and str(content[name]) == str(value) for name, value in row.items()) for row in rows if row
    )


def _served(model: str, of: Plan, declared: Declared) -> list[Row]:
    """The rows by which requests for a model's features name the key."""
    views = [key for key in declared.views if key in of.rows]
    batch = [key for key, name in declared.models.items() if name == model and key in of.rows]
    training = [key for key in declared.reads.get(model, ()) if key in of.rows]
    asked = {key for name, those in declared.models.items() if those == model for key in declared.reads.get(name, ())}
    entities = [
        (key, declared.entities.get(key, ())) for key in (*training, *batch, *(it for it in views if it in asked))
    ]
    rows = [
        {name: row[name] for name in entity} for key, entity in entities for row in of.rows[key] if _names(row, entity)
    ]
    named = [dict(of.key)] if any(set(of.key) <= set(entity) for _, entity in entities) else []
    return list({json.dumps(row, sort_keys=True, default=str): row for row in (*named, *rows)}.values())


def _hashed(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """The rows as a log has them that hides columns; those that were asked before it did are there in the clear."""
    held = [row for row in rows if not row.keys().isdisjoint(columns)]
    hidden = redaction(columns) if held else None
    return [hidden.row(row) for row in held] if hidden else []


def _names(row: Row, entity: Sequence[str]) -> bool:
    return bool(entity) and set(entity) <= row.keys()


def _by_columns(rows: Sequence[Row]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row), []).append(row)
    return found


def _matches(frame: pl.DataFrame, columns: Sequence[str], rows: Sequence[Row]) -> pl.Series:
    import polars as pl

    schema = {name: frame.schema[name] for name in columns}
    wanted = pl.DataFrame([dict(row) for row in rows], schema=schema).unique().with_columns(__goes=pl.lit(value=True))
    joined = frame.select(columns).join(wanted, on=list(columns), how="left", nulls_equal=True, maintain_order="left")
    return joined["__goes"].fill_null(value=False)


def _in_json(text: str | None, rows: Sequence[Row]) -> bool:
    content = json.loads(text) if text else None
    return isinstance(content, dict) and has(content, rows)


def frame_of(location: Location, like: TableSnapshot, file: DataFile) -> pl.DataFrame:
    """The rows of one file of a table, of whatever version, with the columns of a snapshot."""
    import polars as pl

    alone = StagedFiles(location, like.schema, like.partition_by, (file,))
    return pl.DataFrame(pl.from_arrow(delta.read_rows(alone)))


def _holding(location: Location, rows: Sequence[Row]) -> list[str]:
    """The paths of the table's files, of all versions, that hold one of the rows."""
    log, there = read_log(location), present(location)
    like = delta.existing(location)
    paths = sorted(path for path in versions_of(log) if path in there)
    return [path for path in paths if among(frame_of(location, like, file_of(path, like)), rows).any()]


def file_of(path: str, like: TableSnapshot) -> DataFile:
    """A file by its path, in the partition that the path says."""
    from ml_platform.engine.consequences import partition_of

    return DataFile(path, 0, 0, {name: partition_of(path) or "" for name in like.partition_by})


def _erased(location: Location, rows: Sequence[Row]) -> int:
    snap = delta.existing(location)
    hit, left = [], []
    gone = 0
    for file in snap.files:
        frame = frame_of(location, snap, file)
        goes = among(frame, rows)
        if goes.any():
            hit.append(file)
            left.append(frame.filter(~goes))
            gone += int(goes.sum())
    if not hit:
        return 0
    stood = present(location)
    batches = _batches(left, snap)
    staged = stage(batches, snap.schema, location, snap.partition_by)
    with undone_on_failure(staged, stood):
        evidence = {"maintenance": {"erased": gone}}
        # Other tables have read these rows, or are rid of them too: to them, nothing came and nothing went.
        delta.commit(staged, read=snap, replaced=hit, transactions={}, evidence=evidence, data_change=False)
    return gone


def _batches(frames: Sequence[pl.DataFrame], snap: TableSnapshot) -> Iterator[Any]:
    for frame in frames:
        yield from frame.to_arrow().cast(snap.schema).to_batches()


def _name(of: Plan) -> str:
    return f"{hashlib.sha256(written(replace(of, rows={}, again=(), name=''))).hexdigest()[:32]}.json"
