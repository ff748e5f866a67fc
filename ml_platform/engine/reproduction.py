"""Reproduction: a registered version made again from what it pins, and what differs where it is not the same.

It takes the registry and the lakehouse, nothing else: the training set is joined again from the pinned versions, and
fitted by the kept code of then, in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.fitting import IMAGE, INPUTS
from ml_platform.engine.package import ORDER, digest, read_json
from ml_platform.engine.pins import erased
from ml_platform.engine.refit import code_moved, difference, libraries_moved, refitted
from ml_platform.engine.sql import relation
from ml_platform.engine.staging import stage
from ml_platform.engine.taking import TAKEN
from ml_platform.engine.training import Question, parts
from ml_platform.engine.written_question import read
from ml_platform.errors import NotFoundError, PlatformError
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

# Two fits of a deterministic estimator on the same rows may differ by the rounding of sums, and by no more.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Reproduced:
    """What came of it.

    rows: of the training set made again. same_rows: whether they are those that were learned from.
    difference: the largest between both versions' answers on these rows. same_bytes: whether the packages are equal.
    moved: what differs from then, a sentence each; empty where nothing does.
    """

    version: ModelVersion
    rows: int
    same_rows: bool
    difference: float
    same_bytes: bool
    moved: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the same rows gave the same answers."""
        return self.same_rows and self.difference <= TOLERANCE

    def told(self) -> list[str]:
        """What came of it, a sentence each, for people."""
        name = f"{self.version.name} version {self.version.number}"
        exactly = ", and its files are the same to the byte" if self.same_bytes else ""
        rows = f"{self.rows:,} rows: {'those' if self.same_rows else 'not those'} that were learned from"
        answers = f"answers differ by {self.difference:.3g} at most, {TOLERANCE:g} is allowed{exactly}"
        verdict = f"{name} is {'' if self.equal else 'not '}reproduced"
        return [rows, answers, *(f"moved: {sentence}" for sentence in self.moved), verdict]


def reproduce(
    version: ModelVersion,
    registry: ModelRegistry,
    lakehouse: Lakehouse,
    compute: Compute,
    say: Callable[[str], None],
) -> Reproduced:
    """The version made again beside the one that stands, which is not touched.

    say: told what is being done. Raises NotFoundError where the version does not say what it was made from, where rows
    of it were erased, or are nowhere any more; ServiceError where the fit fails.
    """
    if gone := erased(version):
        raise NotFoundError(
            f"{version.name} version {version.number} cannot be made again, for it learned from erased rows: of "
            f"{', '.join(sorted(gone))} they were erased since, and its versions with them",
            remedy="Fit it anew",
        )
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        package = registry.fetch(version.name, version.number, scratch / "package")
        order = _order(package, version)
        rows, moved = _rows(read(order["context"]["question"]), version, lakehouse, compute, scratch / "rows")
        same_rows = not moved
        say(f"{order['context']['training_set']}: {rows.rows:,} rows made again")
        image = version.tags.get(IMAGE, "")
        if image:
            say(f"it was fitted in the image {image}, and is here by the code that was kept with it")
        again, told = refitted(order, rows, version, lakehouse, scratch, say)
        return Reproduced(
            version,
            rows.rows,
            same_rows,
            difference(package, again, rows),
            digest(again) == digest(package),
            (*moved, *told, *code_moved(package, again, image), *libraries_moved(package, again)),
        )


def _order(package: Path, version: ModelVersion) -> Mapping[str, Any]:
    """What the fit was told. Raises NotFoundError for a version that does not say."""
    known = (package / ORDER).is_file() and "training_set" in version.tags and INPUTS in version.tags
    order: Mapping[str, Any] = read_json(package / ORDER) if known else {}
    if "question" not in order.get("context", {}):
        taken = json.loads(version.tags.get(TAKEN, "null"))
        there = f"It was taken from {taken['environment']}: reproduce it there" if taken else ""
        raise NotFoundError(
            f"{version.name} version {version.number} does not say what it was made from, but it is to be made again",
            remedy=there or "Fit it anew: versions that are fitted now do",
        )
    return order


def _rows(
    question: Question, version: ModelVersion, lakehouse: Lakehouse, compute: Compute, into: Path
) -> tuple[TableSnapshot, list[str]]:
    """The training set made again in the folder, and what about its rows is not as it was.

    Where it cannot be made again, those rows that were learned from are taken, as long as they are there.
    """
    pin = json.loads(version.tags["training_set"])
    then = _opened(lakehouse.table(pin["key"]), pin["version"])
    try:
        made = _joined(question, _inputs(version, lakehouse), compute, Location(pin["key"], str(into)))
    except PlatformError as error:
        if then is None:
            raise
        return then, [f"The training set cannot be made again, and its own rows were taken: {error}"]
    if delta.fingerprint(made) == pin["fingerprint"] or (then is not None and _alike(made, then)):
        return made, []
    told = f"{pin['key']} version {pin['version']} has {then.rows:,} rows" if then else "What was learned from is gone"
    return made, [f"{told}, and the one that was made again has {made.rows:,}, not the same."]


def _inputs(version: ModelVersion, lakehouse: Lakehouse) -> dict[str, TableSnapshot]:
    found = {}
    for key, number in json.loads(version.tags[INPUTS]).items():
        snapshot = _opened(lakehouse.table(key), number)
        if snapshot is None:
            raise NotFoundError(f"{key} version {number} was learned from, but it is not there any more")
        found[key] = snapshot
    return found


def _opened(location: Location, version: int) -> TableSnapshot | None:
    try:
        return delta.snapshot(location, version)
    except NotFoundError:
        return None


def _joined(
    question: Question, inputs: Mapping[str, TableSnapshot], compute: Compute, location: Location
) -> TableSnapshot:
    """The training set as a table of its own at the location."""
    lacking = [key for key in (question.events, *question.views) if key not in inputs]
    if lacking:
        raise NotFoundError(f"the version of {lacking[0]} that was learned from was not recorded")
    relations = {relation(key): snapshot for key, snapshot in inputs.items()}
    made = parts(question, lambda query: compute.fetch(query, relations))
    first = next(made)
    batches = (batch for part in chain([first], made) for batch in part.to_batches())
    staged = stage(batches, first.schema, location)
    delta.commit(staged, read=None, replaced=(), transactions={}, evidence={})
    return delta.existing(location)


def _alike(made: TableSnapshot, then: TableSnapshot) -> bool:
    """Whether the rows are equal, in the same order, though files of another library's version hold them."""
    if made.rows != then.rows or made.schema.names != then.schema.names:
        return False
    try:
        return bool(delta.read_rows(made).equals(delta.read_rows(then)))
    except OSError:
        return False
