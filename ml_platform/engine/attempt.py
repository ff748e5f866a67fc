"""One try at a table: what comes to it, staged, and which of the files that stand it takes the place of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

from ml_platform.engine import delta
from ml_platform.engine.aside import Aside
from ml_platform.engine.deleted import SUFFIX as DELETED
from ml_platform.engine.deleted import recorded
from ml_platform.engine.history import lengthened, observations
from ml_platform.engine.incremental import Reading
from ml_platform.engine.inspection import Inspection, Passed
from ml_platform.engine.merge import distinct, merged
from ml_platform.engine.merge_plan import joined
from ml_platform.engine.plan import INCOMING, KEEPING, STANDING, Shape, rows
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.row_wise import alone
from ml_platform.engine.sql import relation
from ml_platform.engine.staging import stage
from ml_platform.engine.touched import Merge
from ml_platform.errors import DeclarationError
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot, View
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Attempt:
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
        return None if self.before is None else selected(self.before, self.recipe.shape, self.todo)


def staged(work: Attempt, aside: Aside) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """What comes, staged, and which standing files it replaces.

    Raises AuditError for rows that break a rule or have no key, ServiceError for a query that does not run.
    """
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


def _news(work: Attempt, aside: Aside) -> dict[str, StagedFiles]:
    """Inputs of which rows were replaced, without the rows that stood before; by the names that a query uses."""
    read, came, went = work.reading, "replaced.came", "replaced.went"
    query = f"SELECT * FROM {came} EXCEPT ALL SELECT * FROM {went}"
    return {relation(key): aside.query(query, {came: read.inputs[key], went: less}) for key, less in read.less.items()}


def _kept(
    work: Attempt, aside: Aside, passed: Passed, standing: TableSnapshot | None
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


def selected(snap: TableSnapshot, shape: Shape, partitions: Collection[str]) -> TableSnapshot:
    """The partitions of a table; all of it where it has none."""
    return snap if shape.partition is None else delta.restrict(snap, shape.partition, partitions)
