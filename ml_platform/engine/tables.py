"""Tables made from tables: stage, audit, commit, and nothing at all where nothing changed.

For every partition that is asked for, the content of what it reads and the code that makes it come to one number, which
is recorded in the table with the partition's data (`made:<partition>`). A partition whose number stands is unchanged.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_platform.engine import delta
from ml_platform.engine.audit import audit
from ml_platform.engine.plan import INCOMING, STANDING, Shape, merged, rows
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.sql import relation
from ml_platform.errors import AuditError, ConflictError
from ml_platform.records.table import Commit, StagedFiles, TableSnapshot, TableVersion
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa

_TRIES = 4


@dataclass(frozen=True)
class Made:
    """What became of a table.

    snapshot: the table afterwards, only the partitions that were asked for.
    read: the versions that were read. remade: the partitions whose number did not stand.
    """

    commit: Commit
    snapshot: TableSnapshot
    read: tuple[TableVersion, ...]
    remade: tuple[str, ...]
    seconds: float


def make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    """The table with the selected partitions made anew from what their inputs hold now.

    partitions: the selected values of the partition column; one empty text for an unpartitioned table.
    every: all values there are, in order.
    Raises NotFoundError for an input that is not there, AuditError for rows that break a rule, ServiceError for a
    query that does not run; the table then stands as it stood. A conflict with another writer is tried again.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _make(recipe, partitions, every, lakehouse, compute)
        except ConflictError:
            if not left:
                raise
    raise AssertionError("unreachable")


def _make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    started = time.monotonic()
    inputs = {key: delta.existing(lakehouse.table(key)) for key in recipe.inputs}
    location = lakehouse.table(recipe.key)
    numbers = {_app_id(p): _number(recipe, inputs, _window(recipe, p, every)) for p in partitions}
    stand = delta.transactions(location, numbers)
    todo = [p for p in partitions if stand[_app_id(p)] != numbers[_app_id(p)]]
    read = tuple(TableVersion(key, snap.version, delta.fingerprint(snap)) for key, snap in inputs.items())
    before = delta.snapshot(location)
    if before is not None and not todo:
        done = Commit(before.version, 0, 0, (), unchanged=True)
    else:
        recorded = {_app_id(p): numbers[_app_id(p)] for p in todo}
        done = _stage_audit_commit(recipe, todo, every, inputs, before, recorded, lakehouse, compute)
    after = _selected(delta.existing(location), recipe.shape, partitions)
    return Made(done, after, read, tuple(todo), time.monotonic() - started)


def _stage_audit_commit(
    recipe: Recipe,
    todo: Sequence[str],
    every: Sequence[str],
    inputs: Mapping[str, TableSnapshot],
    before: TableSnapshot | None,
    numbers: Mapping[str, int],
    lakehouse: Lakehouse,
    compute: Compute,
) -> Commit:
    from ml_platform.engine.staging import discard

    needed = {partition for p in todo for partition in _window(recipe, p, every)}
    relations = {relation(key): _selected(snap, recipe.shape, needed) for key, snap in inputs.items()}
    standing = None if before is None else _selected(before, recipe.shape, todo)
    staged = _staged(recipe, todo, relations, standing, lakehouse, compute)
    try:
        audit(staged, recipe.shape, compute)
    except AuditError:
        discard(staged, {file.path for file in before.files} if before else ())
        raise
    return delta.commit(
        staged,
        read=before,
        replaced=standing.files if standing and recipe.shape.write != "append" else (),
        transactions=numbers,
        evidence={"read": {key: snap.version for key, snap in inputs.items()}, "code": recipe.code},
    )


def _staged(
    recipe: Recipe,
    todo: Sequence[str],
    relations: Mapping[str, StagedFiles],
    standing: TableSnapshot | None,
    lakehouse: Lakehouse,
    compute: Compute,
) -> StagedFiles:
    from ml_platform.engine.staging import stage

    shape, target = recipe.shape, lakehouse.table(recipe.key)
    partition_by = (shape.partition,) if shape.partition else ()
    query = recipe.query
    if query is None:
        frame = _transformed(recipe, relations, compute)
        if not (shape.key or shape.partition):
            return stage(frame.to_batches(), frame.schema, target)
        aside = lakehouse.files(f"platform/incoming/{recipe.key}")
        relations = {INCOMING: stage(frame.to_batches(), frame.schema, aside)}
        query = f"SELECT * FROM {INCOMING}"
    if shape.write != "merge":
        return compute.stage(rows(query, shape, todo), relations, target, partition_by)
    schema = compute.fetch(f"SELECT * FROM ({query}) AS made LIMIT 0", relations).schema
    before = standing or StagedFiles(target, schema, partition_by, ())
    return compute.stage(
        merged(query, shape, todo, schema.names), {**relations, STANDING: before}, target, partition_by
    )


def _transformed(recipe: Recipe, relations: Mapping[str, StagedFiles], compute: Compute) -> pa.Table:
    """The Python function's frame; a keyless table's rows stand in the order in which the function gave them."""
    if recipe.transform is None:
        raise AssertionError(f"{recipe.key} has neither a query nor a function")
    frames = {}
    for name, files in relations.items():
        where = recipe.where.get(name.replace(".", "/"))
        query = f"SELECT * FROM {name}" + (f" WHERE {where}" if where else "") 
        frames[name.rpartition(".")[2]] = compute.fetch(query, {name: files})
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


def _number(recipe: Recipe, inputs: Mapping[str, TableSnapshot], window: Collection[str]) -> int:
    """What a partition is made from, as the number that the table keeps: 63 bits of a digest."""
    parts = [recipe.code] + [
        f"{key}={delta.fingerprint(_selected(snap, recipe.shape, window))}" for key, snap in sorted(inputs.items())
    ]
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8]) >> 1


def _app_id(partition: str) -> str:
    return f"made:{partition}" if partition else "made"
