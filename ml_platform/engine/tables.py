"""Tables made from tables: stage, audit, commit, and nothing at all where nothing changed.

For every partition that is asked for, the content of what it reads and the code that makes it come to one number, which
is recorded in the table with the partition's data (`made:<partition>`). A partition whose number stands is unchanged;
in an append-only table every number stands whose rows were ever appended.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ml_platform.engine import delta
from ml_platform.engine.audit import audit
from ml_platform.engine.files import filesystem
from ml_platform.engine.inspection import Inspection
from ml_platform.engine.plan import INCOMING, STANDING, Shape, made, merged, rows
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.sql import relation
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import DeclarationError
from ml_platform.records.expectation import Inspected
from ml_platform.records.table import Commit, DataFile, StagedFiles, TableSnapshot, TableVersion
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa

_ASIDE = "platform/incoming"


@dataclass(frozen=True)
class Made:
    """What became of a table.

    snapshot: the table afterwards, only the partitions that were asked for.
    read: the versions that were read. remade: the partitions whose number did not stand.
    inspected: what came of its rules.
    """

    commit: Commit
    snapshot: TableSnapshot
    read: tuple[TableVersion, ...]
    remade: tuple[str, ...]
    seconds: float
    inspected: Inspected


def make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    """The table with the selected partitions made anew from what their inputs hold now.

    partitions: the selected values of the partition column; one empty text for an unpartitioned table.
    every: all values there are, in order.
    Raises NotFoundError for an input that is not there, AuditError for rows that break a rule, ServiceError for a
    query that does not run; the table then stands as it stood. A conflict with another writer is tried again.
    """
    return until_undisputed(lambda: _make(recipe, partitions, every, lakehouse, compute))


@dataclass(frozen=True)
class _Work:
    """One try at a table: the partitions to make, the inputs as they were pinned, and the table as it stood."""

    recipe: Recipe
    todo: Sequence[str]
    every: Sequence[str]
    inputs: Mapping[str, TableSnapshot]
    before: TableSnapshot | None
    lakehouse: Lakehouse
    compute: Compute
    inspection: Inspection

    @property
    def relations(self) -> dict[str, StagedFiles]:
        """What a query over the inputs can see, by the names that it uses."""
        needed = {partition for p in self.todo for partition in _window(self.recipe, p, self.every)}
        return {relation(key): _selected(snap, self.recipe.shape, needed) for key, snap in self.inputs.items()}

    @property
    def standing(self) -> TableSnapshot | None:
        """The partitions to make, as they stand."""
        return None if self.before is None else _selected(self.before, self.recipe.shape, self.todo)


def _make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    started = time.monotonic()
    inputs = {key: delta.existing(lakehouse.table(key)) for key in recipe.inputs}
    location = lakehouse.table(recipe.key)
    before = delta.snapshot(location)
    inspection = Inspection.of(recipe, partitions, lakehouse, compute)
    numbers = {p: _number(recipe, inputs, _window(recipe, p, every), inspection.deciding) for p in partitions}
    ids = {p: _app_id(recipe.shape, p, number) for p, number in numbers.items()}
    stand = delta.transactions(location, ids.values(), before.version) if before else {}
    todo = [p for p in partitions if stand.get(ids[p]) != numbers[p] or not inspection.stands(ids[p], numbers[p])]
    if before is not None and not todo:
        inspection.assess(before)
        done = Commit(before.version, 0, 0, (), unchanged=True)
    else:
        work = _Work(recipe, todo, every, inputs, before, lakehouse, compute, inspection)
        done = _stage_audit_commit(work, {ids[p]: numbers[p] for p in todo})
    after = delta.snapshot(location, done.version)
    if after is None:
        raise AssertionError(f"{recipe.key} was committed and is not there")
    pinned = {**inspection.parents, **inputs}
    read = tuple(TableVersion(key, snap.version, delta.fingerprint(snap)) for key, snap in pinned.items())
    selected, seconds = _selected(after, recipe.shape, partitions), time.monotonic() - started
    return Made(done, selected, read, tuple(todo), seconds, inspection.done)


def _stage_audit_commit(work: _Work, numbers: Mapping[str, int]) -> Commit:
    shape, standing = work.recipe.shape, work.standing
    replaced = standing.files if standing and shape.write != "append" else ()
    stood = present(work.lakehouse.table(work.recipe.key))
    with work.inspection.undone_on_failure():
        staged = _staged(work)
        with undone_on_failure(staged, stood):
            audit(staged, shape, work.compute)
            work.inspection.assess(_after(work.before, staged, replaced))
            work.inspection.commit(staged, numbers)
            return delta.commit(
                staged,
                read=work.before,
                replaced=replaced,
                transactions=numbers,
                evidence={"read": {key: snap.version for key, snap in work.inputs.items()}, "code": work.recipe.code},
            )


def _after(before: TableSnapshot | None, staged: StagedFiles, replaced: Collection[DataFile]) -> StagedFiles:
    """The files that the table will have."""
    gone = {file.path for file in replaced}
    files = {file.path: file for file in (before.files if before else ()) if file.path not in gone}
    files.update({file.path: file for file in staged.files})
    return StagedFiles(staged.location, staged.schema, staged.partition_by, tuple(files.values()))


def _staged(work: _Work) -> StagedFiles:
    recipe = work.recipe
    if recipe.query is not None:
        return _queried(work, recipe.query, work.relations)
    frame = _transformed(work)
    if not (recipe.shape.key or recipe.shape.partition or recipe.expects.quarantine):
        return stage(frame.to_batches(), frame.schema, work.lakehouse.table(recipe.key))
    with _set_aside(frame, recipe.key, work.lakehouse) as incoming:
        return _queried(work, f"SELECT * FROM {INCOMING}", {INCOMING: incoming})


def _queried(work: _Work, query: str, relations: Mapping[str, StagedFiles]) -> StagedFiles:
    standing = work.standing if work.recipe.shape.write == "merge" else None
    with work.inspection.passed(query, relations, work.todo, standing) as passed:
        return _planned(work, passed.query, passed.relations, passed.standing)


def _planned(
    work: _Work, query: str, relations: Mapping[str, StagedFiles], standing: StagedFiles | None
) -> StagedFiles:
    shape, target = work.recipe.shape, work.lakehouse.table(work.recipe.key)
    partition_by = (shape.partition,) if shape.partition else ()
    if shape.write != "merge":
        return work.compute.stage(rows(query, shape, work.todo), relations, target, partition_by)
    schema = work.compute.fetch(f"SELECT * FROM {made(query)} LIMIT 0", relations).schema
    kept = standing or StagedFiles(target, schema, partition_by, ())
    plan = merged(query, shape, work.todo, schema.names)
    return work.compute.stage(plan, {**relations, STANDING: kept}, target, partition_by)


@contextmanager
def _set_aside(frame: pa.Table, key: str, lakehouse: Lakehouse) -> Iterator[StagedFiles]:
    """The frame as files beside the tables, for a query to read; they are gone afterwards."""
    name = f"{key.replace('/', '.')}-{uuid4().hex}"
    try:
        yield stage(frame.to_batches(), frame.schema, lakehouse.files(f"{_ASIDE}/{name}"))
    finally:
        filesystem(lakehouse.files(_ASIDE)).delete_dir(name)


def _transformed(work: _Work) -> pa.Table:
    """The Python function's frame; a keyless table's rows stand in the order in which the function gave them."""
    recipe = work.recipe
    if recipe.transform is None:
        raise AssertionError(f"{recipe.key} has neither a query nor a function")
    names = {key: key.rpartition("/")[2] for key in recipe.inputs}
    if len(set(names.values())) < len(names):
        raise DeclarationError(
            f"{recipe.key} reads {', '.join(sorted(names))}, but two of them go by the same last part",
            remedy="Write it as a query, or give one of the tables another name",
        )
    relations = work.relations
    frames = {}
    for key, name in names.items():
        where = f" WHERE {recipe.where[key]}" if key in recipe.where else ""
        query = f"SELECT * FROM {relation(key)}{where}"
        frames[name] = work.compute.fetch(query, {relation(key): relations[relation(key)]})
    return recipe.transform(frames)


def _selected(snap: TableSnapshot, shape: Shape, partitions: Collection[str]) -> TableSnapshot:
    return snap if shape.partition is None else delta.restrict(snap, shape.partition, partitions)


def _window(recipe: Recipe, partition: str, every: Sequence[str]) -> tuple[str, ...]:
    """The partitions that one is made from; of an unpartitioned table, all."""
    if recipe.shape.partition is None:
        return ()
    at = list(every).index(partition)
    before, after = recipe.reads
    return tuple(every[max(0, at - before) : at + after + 1])


def _number(
    recipe: Recipe, inputs: Mapping[str, TableSnapshot], window: Collection[str], whole: Mapping[str, TableSnapshot]
) -> int:
    """What a partition is made from, as the number that the table keeps: 63 bits of a digest.

    whole: what it is made from without a window.
    """
    parts = [recipe.code] + [
        f"{key}={delta.fingerprint(_selected(snap, recipe.shape, window))}" for key, snap in sorted(inputs.items())
    ]
    parts += [f"{key}:{delta.fingerprint(snap)}" for key, snap in sorted(whole.items())]
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8]) >> 1


def _app_id(shape: Shape, partition: str, number: int) -> str:
    """The name that a partition's number is kept under; what is appended stays, so each of its numbers is kept."""
    name = f"made:{partition}" if partition else "made"
    return f"{name}:{number:x}" if shape.write == "append" else name
