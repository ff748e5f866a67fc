"""Incremental reading: of an input that drives a table row by row, only what commits added since it was last read.

With its data a table keeps the version of that input under `seen:<partition>:<the input's table id>`. That this is
what was seen is proven by the number that was kept with it (`made:<partition>`), made again from that version: it
stands only where code and all other inputs are what they were.

What an append has, it has for good. Where rows of its input are replaced, files come with rows that stood in those that
went: what came is the rows of the first without the rows of the second. An append also keeps, under
`settled:<the input's table id>`, the version behind which every partition that it ever read has read everything:
maintenance leaves it the commits and files since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ml_platform.engine import delta, delta_log
from ml_platform.engine.changes import Changes, between, readable, touching
from ml_platform.engine.numbers import Numbers
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.row_wise import driven
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.records.table import DataFile, Location, StagedFiles, TableSnapshot

SETTLED = "settled:"

Number = Callable[[Mapping[str, TableSnapshot], str], int]


@dataclass(frozen=True)
class Reading:
    """What of its inputs a table is made from.

    inputs: input → the files to read. rows: in these files, of `offered` in all files of the inputs.
    how: `incremental`, or `full, because …`. exact: whether nothing is read that was read before.
    seen: what the table has to keep, name → version.
    less: input → files whose rows are no news, though they stand in files to read as well.
    """

    inputs: Mapping[str, StagedFiles]
    rows: int
    offered: int
    how: str
    exact: bool
    seen: Mapping[str, int]
    less: Mapping[str, StagedFiles] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What is asked of a table.

    todo: partitions to make. windows: partition → the partitions of the inputs that it is made from, for those to make;
    of an append for every one that there is.
    inputs: as they were pinned. before: the table as it stands. kept: the numbers that it has.
    number: a partition's number, of given inputs. app_id: the name that such a number is kept under.
    """

    recipe: Recipe
    todo: Sequence[str]
    windows: Mapping[str, Sequence[str]]
    inputs: Mapping[str, TableSnapshot]
    before: TableSnapshot | None
    kept: Numbers | None
    number: Number
    app_id: Callable[[str, int], str]

    def window(self, key: str, partition: str) -> TableSnapshot:
        """An input's files that a partition is made from."""
        snap, column = self.inputs[key], self.recipe.shape.partition
        return snap if column is None else delta.restrict(snap, column, self.windows[partition])


@dataclass(frozen=True)
class _Past:
    """An input since a version at which partitions read it. then: as it stood; None where it cannot be read any more,
    or is not asked for. changes: since then; None where the log has lost commits."""

    version: int
    then: TableSnapshot | None
    changes: Changes | None


def reading(asked: Asked) -> Reading:
    """What to read. Raises ServiceError where an append cannot tell which rows it has appended already."""
    key, because = _driver(asked)
    if key is None:
        return _reading(asked, {}, f"full, because {because}", exact=False, seen={})
    table = delta_log.opened(asked.inputs[key].location, asked.inputs[key].version)
    if table is None:
        raise NotFoundError(f"the table {key} is gone, but it was read a moment ago")
    identity = str(table.metadata().id)
    stand = _seen(asked, identity, asked.todo)
    seen = dict.fromkeys((_seen_name(p, identity) for p in asked.todo), asked.inputs[key].version)
    append = asked.recipe.shape.write == "append"
    settled = _kept(asked, settled_name(identity)) if append else None
    last = {p: _later(stand[p], settled) for p in asked.todo}
    pasts = {version: _past(asked, key, version) for version in set(last.values())}
    found = {p: _since(asked, key, p, pasts[version]) for p, version in last.items()}
    whole = {p: why for p, why in found.items() if isinstance(why, str)}
    only = {p: changes.came for p, changes in found.items() if isinstance(changes, Changes)}
    went = _each(file for changes in found.values() if isinstance(changes, Changes) for file in changes.went)
    if append:
        _require_known(asked, key, whole)
        _require_apart(asked, key, whole if went else {})
        seen |= _settling(asked, key, identity, settled)
    how = "incremental" if not whole else f"full, because {'; '.join(sorted(set(whole.values())))}"
    if whole and only:
        how = f"incremental, but for {', '.join(sorted(whole))}: {'; '.join(sorted(set(whole.values())))}"
    read = _reading(asked, {key: only}, how, exact=not whole, seen=seen)
    if not went:
        return read
    snap = asked.inputs[key]
    less = StagedFiles(snap.location, snap.schema, snap.partition_by, went)
    return replace(read, rows=read.rows + less.rows, less={key: less})


def waits_from(of: Location, reader: Location) -> int | None:
    """The version of a table behind which one that appends what comes to it has read everything; None for others."""
    table = delta_log.opened(of)
    return None if table is None else delta.transaction(reader, settled_name(str(table.metadata().id)))


def settled_name(identity: str) -> str:
    """The name under which an append keeps how far it has read the table of this id."""
    return f"{SETTLED}{identity}"


def _seen_name(partition: str, identity: str) -> str:
    return f"seen:{partition}:{identity}"


def _seen(asked: Asked, identity: str, partitions: Iterable[str]) -> dict[str, int | None]:
    """Partition → the version that it was last read at."""
    names = {p: _seen_name(p, identity) for p in partitions}
    return {p: _kept(asked, name) for p, name in names.items()}


def _kept(asked: Asked, name: str) -> int | None:
    return asked.kept.get(name) if asked.kept else None


def _later(seen: int | None, settled: int | None) -> int | None:
    """Where to read on: what was never read is not settled either."""
    return seen if seen is None or settled is None else max(seen, settled)


def _settling(asked: Asked, key: str, identity: str, settled: int | None) -> dict[str, int]:
    """How far the table will have read its input with nothing left behind, under the name that it keeps that by."""
    snap, column = asked.inputs[key], asked.recipe.shape.partition
    others = [p for p in asked.windows if p not in asked.todo]
    if asked.before is None or not others:
        return {settled_name(identity): snap.version}
    if settled is None:
        stand = _seen(asked, identity, others).values()
        settled = min((version for version in stand if version is not None), default=snap.version)
    moved = touching(snap.location, settled, snap.version)
    if moved is None:
        return {}
    whole = column not in snap.partition_by
    at = {p: [v for v, f in moved if whole or f.partition[column or ""] in asked.windows[p]] for p in others}
    seen = _seen(asked, identity, [p for p, versions in at.items() if versions])
    unread = (v for p, last in seen.items() if last is not None for v in at[p] if v > last)
    return {settled_name(identity): min(unread, default=snap.version + 1) - 1}


def _driver(asked: Asked) -> tuple[str | None, str]:
    """The input that is read by what came to it, or why none is."""
    recipe = asked.recipe
    if recipe.shape.write == "overwrite":
        return None, "what is overwritten is made whole"
    if recipe.expects.quarantine and recipe.shape.write != "append":
        return None, "its quarantine is made whole"
    if recipe.query is None:
        return None, "a Python function may look at more than a row"
    found = driven(recipe.query)
    return found.key, found.because


def _past(asked: Asked, key: str, version: int | None) -> _Past | None:
    """The input since a version; None where there is none."""
    if version is None:
        return None
    snap, append = asked.inputs[key], asked.recipe.shape.write == "append"
    then = None if append else _then(snap, version)
    return _Past(version, then, between(snap.location, version, snap.version))


def _since(asked: Asked, key: str, partition: str, past: _Past | None) -> Changes | str:
    """The files that came, and went, for a partition since it was last read; or why they are not enough."""
    snap, append = asked.inputs[key], asked.recipe.shape.write == "append"
    if past is None:
        return _never_read(key)
    if not append and (past.then is None or not _proven(asked, {**asked.inputs, key: past.then}, partition)):
        lost = f"version {past.version} of {key} cannot be read any more"
        return lost if past.then is None else "the code or another input is not what it was"
    changes = past.changes
    if changes is None:
        return f"the log of {key} has lost commits since version {past.version}"
    column = asked.recipe.shape.partition
    if column in snap.partition_by:
        window = set(asked.windows[partition])
        parts = (changes.came, changes.went, changes.undone)
        changes = Changes(*(tuple(f for f in of if f.partition[column or ""] in window) for of in parts))
    if changes.undone and append:
        return _taken_back(key)
    if changes.went and not append:
        return f"rows of {key} were removed or replaced"
    there = readable(snap.location, [*changes.came, *changes.went])
    return changes if there else f"files of {key} since version {past.version} are gone"


def _then(snap: TableSnapshot, version: int) -> TableSnapshot | None:
    try:
        return delta.snapshot(snap.location, version) if version <= snap.version else None
    except (NotFoundError, ServiceError):
        return None


def _proven(asked: Asked, inputs: Mapping[str, TableSnapshot], partition: str) -> bool:
    number = asked.number(inputs, partition)
    return _kept(asked, asked.app_id(partition, number)) == number


def _never_read(key: str) -> str:
    return f"{key} was not read before"


def _taken_back(key: str) -> str:
    return f"a restore of {key} took back rows that it has, or brought back such"


def _require_known(asked: Asked, key: str, whole: Mapping[str, str]) -> None:
    """Returns where the append knows what it has of its input: all up to some version, or nothing."""
    lost = [why for _, why in sorted(whole.items()) if why != _never_read(key)]
    if lost:
        new = "give the table a new name, and it is appended to from the start"
        back = f"Restore {asked.recipe.key} too, to a version from before it read those rows; or {new}"
        raise ServiceError(
            f"{asked.recipe.key} appends what comes to {key}, but {lost[0]}, so nobody knows what of it is new",
            remedy=back if lost[0] == _taken_back(key) else new[0].upper() + new[1:],
        )


def _require_apart(asked: Asked, key: str, whole: Mapping[str, str]) -> None:
    """Returns where rows that went stand in no file that is read whole; else raises ServiceError."""
    if whole and asked.recipe.shape.partition not in asked.inputs[key].partition_by:
        raise ServiceError(
            f"{asked.recipe.key} is to append {', '.join(sorted(whole))} from the start and others from where they "
            f"stand, but rows of {key} were replaced, and it is not divided by {asked.recipe.shape.partition}",
            remedy=f"Make {', '.join(sorted(whole))} by themselves first",
        )


def _reading(
    asked: Asked,
    only: Mapping[str, Mapping[str, Sequence[DataFile]]],
    how: str,
    *,
    exact: bool,
    seen: Mapping[str, int],
) -> Reading:
    inputs = {}
    for key, snap in asked.inputs.items():
        those = only.get(key, {})
        files = (file for p in asked.todo for file in (those[p] if p in those else asked.window(key, p).files))
        inputs[key] = StagedFiles(snap.location, snap.schema, snap.partition_by, _each(files))
    rows, offered = (sum(of.rows for of in those.values()) for those in (inputs, asked.inputs))
    return Reading(inputs, rows, offered, how, exact, seen)


def _each(files: Iterable[DataFile]) -> tuple[DataFile, ...]:
    """Each file once."""
    return tuple({file.path: file for file in files}.values())
