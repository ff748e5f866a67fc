"""Tables made from tables: stage, audit, commit, and nothing at all where nothing changed.

For every partition that is asked for, the content of what it reads and the code that makes it come to one number, which
is recorded in the table with the partition's data (`made:<partition>`). A partition whose number stands is unchanged;
in an append-only table every number stands whose rows were ever appended.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ml_platform.engine import beside, delta, intent
from ml_platform.engine.aside import set_aside
from ml_platform.engine.attempt import Attempt, selected, staged
from ml_platform.engine.audit import audit
from ml_platform.engine.incremental import Asked, Reading, reading
from ml_platform.engine.inspection import Inspection
from ml_platform.engine.numbers import Numbers
from ml_platform.engine.plan import KEEPING, Shape
from ml_platform.engine.recipe import READ, Recipe
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import present, undone_on_failure
from ml_platform.errors import ConflictError
from ml_platform.records.expectation import Inspected
from ml_platform.records.table import Commit, DataFile, StagedFiles, TableSnapshot, TableVersion
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    pass

STAGED = "staged.rows"


@dataclass(frozen=True)
class Made:
    """What became of a table.

    snapshot: the table afterwards, only the partitions that were asked for.
    read: the versions that were read. remade: the partitions whose number did not stand.
    reading: what of these versions was read. retries: how often somebody else committed first.
    inspected: what came of its rules.
    """

    commit: Commit
    snapshot: TableSnapshot
    read: tuple[TableVersion, ...]
    remade: tuple[str, ...]
    seconds: float
    reading: Reading
    inspected: Inspected
    retries: int = 0


def make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    """The table with the selected partitions made anew from what their inputs hold now.

    partitions: the selected values of the partition column; one empty text for an unpartitioned table.
    every: all values there are, in order.
    Raises NotFoundError for an input that is not there, AuditError for rows that break a rule, ServiceError for a
    query that does not run; the table then stands as it stood. A conflict with another writer is tried again.
    """
    lost: list[ConflictError] = []
    made = until_undisputed(lambda: _make(recipe, partitions, every, lakehouse, compute), lost.append)
    return replace(made, retries=len(lost))


def _make(
    recipe: Recipe, partitions: Sequence[str], every: Sequence[str], lakehouse: Lakehouse, compute: Compute
) -> Made:
    started = time.monotonic()
    inputs = {key: delta.existing(lakehouse.table(key)) for key in recipe.inputs}
    location = lakehouse.table(recipe.key)
    before = delta.snapshot(location)
    inspection = Inspection.of(recipe, partitions, every, lakehouse, compute)
    known = every if recipe.shape.write == "append" and recipe.shape.partition and recipe.query else partitions
    windows = {p: _window(recipe, p, every) for p in (*partitions, *known)}
    numbers = {p: _number(recipe, inputs, windows[p], inspection.deciding) for p in partitions}
    ids = {p: _app_id(recipe.shape, p, number) for p, number in numbers.items()}
    kept = Numbers(location, before.version) if before else None
    todo = [
        p
        for p in partitions
        if kept is None or kept.get(ids[p]) != numbers[p] or not inspection.stands(ids[p], numbers[p])
    ]
    read = Reading({}, 0, sum(snap.rows for snap in inputs.values()), "nothing, because nothing changed", True, {})
    if before is not None and not todo:
        inspection.assess(before)
        done = Commit(before.version, 0, 0, (), unchanged=True)
    else:
        read = reading(
            Asked(
                recipe,
                todo,
                windows,
                inputs,
                before,
                kept,
                lambda of, p: _number(recipe, of, windows[p], inspection.deciding),
                lambda p, number: _app_id(recipe.shape, p, number),
            )
        )
        work = Attempt(recipe, todo, read, before, lakehouse, compute, inspection)
        intent.about_to_make(before, kept, inputs, todo)
        evidence = {"read": {key: snap.version for key, snap in inputs.items()}, "code": recipe.code}
        sources = {f"{READ}{key}": snap.version for key, snap in inputs.items()}
        done = _stage_audit_commit(work, {**{ids[p]: numbers[p] for p in todo}, **read.seen, **sources}, evidence)
    after = delta.snapshot(location, done.version)
    if after is None:
        raise AssertionError(f"{recipe.key} was committed and is not there")
    pinned = {**inspection.parents, **inputs}
    versions = tuple(TableVersion(key, snap.version, delta.fingerprint(snap)) for key, snap in pinned.items())
    shown = selected(after, recipe.shape, partitions)
    return Made(done, shown, versions, tuple(todo), time.monotonic() - started, read, inspection.done)


def _stage_audit_commit(work: Attempt, numbers: Mapping[str, int], evidence: Mapping[str, Any]) -> Commit:
    recipe, inspection = work.recipe, work.inspection
    stood = present(work.lakehouse.table(recipe.key))
    with inspection.undone_on_failure(), set_aside(recipe.key, work.lakehouse, work.compute) as aside:
        made, replaced = staged(work, aside)
        with undone_on_failure(made, stood):
            audit(made, _unaudited(recipe.shape), work.compute, inspection.every)
            if recipe.proof is not None:
                recipe.proof(lambda query: work.compute.fetch(query, {**work.relations, STAGED: made}))
            inspection.assess(_after(work.before, made, replaced))
            work.beside.update(inspection.commit(made, numbers))
            kept = {**numbers, **beside.numbers(work.beside)}
            return delta.commit(made, read=work.before, replaced=replaced, transactions=kept, evidence=evidence)


def _after(before: TableSnapshot | None, staged: StagedFiles, replaced: Collection[DataFile]) -> StagedFiles:
    """The files that the table will have."""
    gone = {file.path for file in replaced}
    files = {file.path: file for file in (before.files if before else ()) if file.path not in gone}
    files.update({file.path: file for file in staged.files})
    return StagedFiles(staged.location, staged.schema, staged.partition_by, tuple(files.values()))


def _unaudited(shape: Shape) -> Shape:
    """What is left to audit of staged rows: of a table whose standing rows stay, the incoming keys were audited."""
    return replace(shape, key=(), newest=None) if shape.write in KEEPING else shape


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
        f"{key}={delta.fingerprint(selected(snap, recipe.shape, window))}" for key, snap in sorted(inputs.items())
    ]
    parts += [f"{key}:{delta.fingerprint(snap)}" for key, snap in sorted(whole.items())]
    return int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8]) >> 1


def _app_id(shape: Shape, partition: str, number: int) -> str:
    """The name that a partition's number is kept under; what is appended stays, so each of its numbers is kept."""
    name = f"made:{partition}" if partition else "made"
    return f"{name}:{number:x}" if shape.write == "append" else name
