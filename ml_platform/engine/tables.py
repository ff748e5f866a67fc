"""Tables made from tables: stage, audit, commit, and nothing at all where nothing changed.

For every partition that is asked for, the content of what it reads and the code that makes it come to one number, which
is recorded in the table with the partition's data (`made:<partition>`). A partition whose number stands is unchanged;
in an append-only table every number stands whose rows were ever appended.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from ml_platform.engine import beside, delta, intent
from ml_platform.engine.aside import Aside, set_aside
from ml_platform.engine.audit import audit
from ml_platform.engine.deleted import SUFFIX as DELETED
from ml_platform.engine.deleted import recorded
from ml_platform.engine.history import lengthened, observations
from ml_platform.engine.incremental import Asked, Reading, reading
from ml_platform.engine.inspection import Inspection, Passed
from ml_platform.engine.merge import distinct, merged
from ml_platform.engine.merge_plan import joined
from ml_platform.engine.numbers import Numbers
from ml_platform.engine.plan import INCOMING, KEEPING, STANDING, Shape, rows
from ml_platform.engine.recipe import READ, Recipe
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.row_wise import alone
from ml_platform.engine.sql import relation
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.engine.touched import Merge
from ml_platform.errors import ConflictError, DeclarationError
from ml_platform.records.expectation import Inspected
from ml_platform.records.table import Commit, DataFile, StagedFiles, TableSnapshot, TableVersion, View
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa

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


@dataclass(frozen=True)
class _Work:
    """One try at a table: the partitions to make, what is read for them, and the table as it stood.

    beside: suffixes of the tables beside it → the versions that this try has left of them, or found.
    """

    recipe: Recipe
    todo: Sequence[str]
    reading: Reading
    before: TableSnapshot | None
    lakehouse: Lakehouse
    compute: Compute
    inspection: Inspection
    beside: dict[str, int] = field(default_factory=dict)

    @property
    def relations(self) -> dict[str, StagedFiles]:
        """What a query over the inputs can see, by the names that it uses."""
        return {relation(key): files for key, files in self.reading.inputs.items()}

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
        work = _Work(recipe, todo, read, before, lakehouse, compute, inspection)
        intent.about_to_make(before, kept, inputs, todo)
        evidence = {"read": {key: snap.version for key, snap in inputs.items()}, "code": recipe.code}
        sources = {f"{READ}{key}": snap.version for key, snap in inputs.items()}
        done = _stage_audit_commit(work, {**{ids[p]: numbers[p] for p in todo}, **read.seen, **sources}, evidence)
    after = delta.snapshot(location, done.version)
    if after is None:
        raise AssertionError(f"{recipe.key} was committed and is not there")
    pinned = {**inspection.parents, **inputs}
    versions = tuple(TableVersion(key, snap.version, delta.fingerprint(snap)) for key, snap in pinned.items())
    shown = _selected(after, recipe.shape, partitions)
    return Made(done, shown, versions, tuple(todo), time.monotonic() - started, read, inspection.done)


def _stage_audit_commit(work: _Work, numbers: Mapping[str, int], evidence: Mapping[str, Any]) -> Commit:
    recipe, inspection = work.recipe, work.inspection
    stood = present(work.lakehouse.table(recipe.key))
    with inspection.undone_on_failure(), set_aside(recipe.key, work.lakehouse, work.compute) as aside:
        staged, replaced = _staged(work, aside)
        with undone_on_failure(staged, stood):
            audit(staged, _unaudited(recipe.shape), work.compute, inspection.every)
            if recipe.proof is not None:
                recipe.proof(lambda query: work.compute.fetch(query, {**work.relations, STAGED: staged}))
            inspection.assess(_after(work.before, staged, replaced))
            work.beside.update(inspection.commit(staged, numbers))
            kept = {**numbers, **beside.numbers(work.beside)}
            return delta.commit(staged, read=work.before, replaced=replaced, transactions=kept, evidence=evidence)


def _after(before: TableSnapshot | None, staged: StagedFiles, replaced: Collection[DataFile]) -> StagedFiles:
    """The files that the table will have."""
    gone = {file.path for file in replaced}
    files = {file.path: file for file in (before.files if before else ()) if file.path not in gone}
    files.update({file.path: file for file in staged.files})
    return StagedFiles(staged.location, staged.schema, staged.partition_by, tuple(files.values()))


def _staged(work: _Work, aside: Aside) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """What comes, staged, and which standing files it replaces."""
    recipe, standing = work.recipe, work.standing
    shape, target = recipe.shape, work.lakehouse.table(recipe.key)
    query, relations = recipe.query, {**work.relations, **_news(work, aside)}
    if recipe.stream is not None:
        parts = recipe.stream(lambda query: work.compute.fetch(query, relations))
        first = next(parts)
        batches = (batch for part in chain([first], parts) for batch in part.to_batches())
        return stage(batches, first.schema, target), standing.files if standing else ()
    if query is None:
        frame = _transformed(recipe, work.reading.inputs, work.compute)
        if not (shape.key or shape.partition or recipe.expects.quarantine):
            return stage(frame.to_batches(), frame.schema, target), standing.files if standing else ()
        query, relations = f"SELECT * FROM {INCOMING}", {INCOMING: aside.frame(frame)}
    keeps = standing if shape.write == "merge" else None
    with work.inspection.passed(query, relations, work.todo, keeps) as passed:
        if shape.write in KEEPING:
            return _kept(work, aside, passed, standing)
        partition_by = (shape.partition,) if shape.partition else ()
        staged = work.compute.stage(
            rows(passed.query, shape, work.todo, work.inspection.every), passed.relations, target, partition_by
        )
        return staged, standing.files if standing and shape.write != "append" else ()


def _news(work: _Work, aside: Aside) -> dict[str, StagedFiles]:
    """Inputs of which rows were replaced, without the rows that stood before; by the names that a query uses."""
    read, came, went = work.reading, "replaced.came", "replaced.went"
    query = f"SELECT * FROM {came} EXCEPT ALL SELECT * FROM {went}"
    return {relation(key): aside.query(query, {came: read.inputs[key], went: less}) for key, less in read.less.items()}


def _kept(
    work: _Work, aside: Aside, passed: Passed, standing: TableSnapshot | None
) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """The same of a table whose standing rows stay, but for those that incoming rows take the place of."""
    recipe, compute, shape = work.recipe, work.compute, work.recipe.shape
    query, partition_by = (
        rows(passed.query, shape, work.todo, work.inspection.every),
        (shape.partition,) if shape.partition else (),
    )

    def merge(incoming: StagedFiles | View) -> Merge:
        deleted = recorded(recipe.key, incoming, shape, work.lakehouse, compute) if shape.delete_when else None
        if isinstance(deleted, TableSnapshot):
            work.beside[DELETED] = deleted.version
        nothing = StagedFiles(work.lakehouse.table(recipe.key), incoming.schema, partition_by, ())
        return Merge(standing or nothing, deleted, shape, work.reading.exact, compute, aside)

    if shape.write == "history":
        incoming = aside.query(query, passed.relations)
        observed = observations(incoming, shape, compute, aside)
        return lengthened(merge(incoming), incoming, observed)
    again = passed.query == recipe.query and alone(passed.query, passed.relations)
    sound, ranges = distinct((aside.view if again else aside.query)(query, passed.relations), shape, compute, aside)
    into = merge(sound)
    if standing is None or passed.standing in (None, standing):
        return merged(into, sound, ranges)
    # Rules that came later have recalled standing rows: what is left of the partitions is written anew.
    left = aside.query(joined(shape, sound.schema.names), {INCOMING: sound, STANDING: passed.standing})
    nothing = StagedFiles(into.standing.location, sound.schema, partition_by, ())
    return merged(replace(into, standing=nothing), left)[0], standing.files


def _unaudited(shape: Shape) -> Shape:
    """What is left to audit of staged rows: of a table whose standing rows stay, the incoming keys were audited."""
    return replace(shape, key=(), newest=None) if shape.write in KEEPING else shape


def _transformed(recipe: Recipe, inputs: Mapping[str, StagedFiles], compute: Compute) -> pa.Table:
    """The Python function's frame; a keyless table's rows stand in the order in which the function gave them.

    inputs: asset key → what is read of it.
    """
    if recipe.transform is None:
        raise AssertionError(f"{recipe.key} has neither a query nor a function")
    names = {key: key.rpartition("/")[2] for key in recipe.inputs}
    if len(set(names.values())) < len(names):
        raise DeclarationError(
            f"{recipe.key} reads {', '.join(sorted(names))}, but two of them go by the same last part",
            remedy="Write it as a query, or give one of the tables another name",
        )
    frames = {}
    for key, name in names.items():
        where = f" WHERE {recipe.where[key]}" if key in recipe.where else ""
        query = f"SELECT * FROM {relation(key)}{where}"
        frames[name] = compute.fetch(query, {relation(key): inputs[key]})
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
