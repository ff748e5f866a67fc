"""An inspection: one try at making a table, held against what its declaration expects of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ml_platform.engine import delta
from ml_platform.engine.assessment import Assessment, within
from ml_platform.engine.plan import KEEPING
from ml_platform.engine.quarantine import SUFFIX, Quarantine
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.sieve import Sieve
from ml_platform.engine.staging import present, undone_on_failure
from ml_platform.records.expectation import Inspected, Outcome
from ml_platform.records.table import StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse


@dataclass(frozen=True)
class Passed:
    """What goes on to be made of a query: all of it, or its good rows.

    standing: what a merge keeps, None where it keeps nothing.
    """

    query: str
    relations: Mapping[str, StagedFiles]
    standing: StagedFiles | None


@dataclass
class Inspection:
    """The rules of one recipe for one try.

    partitions: those that are asked for, of every one that there is. parents: the tables that rules look values up in,
    as they were pinned. returning: the quarantine as an append's table knows it, whose rows are offered again.
    """

    recipe: Recipe
    partitions: Sequence[str]
    every: Sequence[str]
    lakehouse: Lakehouse
    compute: Compute
    parents: Mapping[str, TableSnapshot]
    quarantine: Quarantine | None
    returning: TableSnapshot | None = None
    _made: Sequence[str] = field(default=(), init=False)
    _bad: StagedFiles | None = field(default=None, init=False)
    _rows: tuple[int, int] = field(default=(0, 0), init=False)
    _outcomes: tuple[Outcome, ...] = field(default=(), init=False)

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        partitions: Sequence[str],
        every: Sequence[str],
        lakehouse: Lakehouse,
        compute: Compute,
    ) -> Inspection:
        """An inspection of the partitions that are asked for; the quarantine and the parents are pinned.

        Raises NotFoundError for a parent that is not there.
        """
        parents = {key: delta.existing(lakehouse.table(key)) for key in recipe.expects.parents}
        if not recipe.expects.quarantine:
            return cls(recipe, partitions, every, lakehouse, compute, parents, None)
        quarantine, returning = Quarantine.of(recipe.key, recipe.shape.partition, lakehouse), None
        if recipe.shape.write == "append":
            returning = quarantine.known_to(lakehouse.table(recipe.key))
        return cls(recipe, partitions, every, lakehouse, compute, parents, quarantine, returning)

    def stands(self, app_id: str, number: int) -> bool:
        """Whether the quarantine has what a partition is made from; a table without one has nothing to lack."""
        return self.quarantine is None or self.quarantine.stands({app_id: number})

    @property
    def deciding(self) -> Mapping[str, TableSnapshot]:
        """The parents that decide which rows the table has."""
        return {key: self.parents[key] for key in self.recipe.expects.deciding_parents}

    @contextmanager
    def passed(
        self,
        query: str,
        relations: Mapping[str, StagedFiles],
        partitions: Sequence[str],
        standing: StagedFiles | None = None,
    ) -> Iterator[Passed]:
        """What goes on of the query's rows of the partitions; the others are staged for the quarantine."""
        if self.quarantine is None:
            yield Passed(query, relations, standing)
            return
        sieve = Sieve(self.recipe, partitions, self.every, self.parents, self.lakehouse, self.compute)
        returning = None
        if self.returning is not None:
            self.quarantine.require_known(self.returning, [p for p in self.every if p not in partitions])
            returning = within(self.returning, self.recipe.shape.partition, partitions)
        with sieve.sifted(query, relations, standing, returning) as sifted:
            self._made, self._bad, self._rows = partitions, sifted.bad, (sifted.rows_in, sifted.rows_out)
            yield Passed(sifted.query, sifted.relations, sifted.standing)

    @contextmanager
    def undone_on_failure(self) -> Iterator[None]:
        """Where the block fails, no file stays that was staged for the quarantine and is not in it."""
        stood = present(self.quarantine.location) if self.quarantine else frozenset()
        try:
            yield
        except BaseException:
            if self._bad is None:
                raise
            with undone_on_failure(self._bad, stood):
                raise

    def assess(self, table: StagedFiles) -> None:
        """Returns when no rule is broken that fails; else raises BrokenRulesError.

        table: its files as they will stand, or do.
        """
        kept = None
        if self.quarantine is not None:
            kept = within(self.quarantine.after(self._bad, self._made), self.recipe.shape.partition, self.partitions)
        assessment = Assessment(self.recipe, self.parents, self.lakehouse, self.compute)
        self._outcomes = assessment.outcomes(table, self.partitions, kept)

    def commit(self, staged: StagedFiles, numbers: Mapping[str, int]) -> dict[str, int]:
        """The quarantine has the bad rows of the partitions that were made, with what these are made from.

        Gives its suffix → its version then; nothing where the table has none.
        staged: the table's own rows, which are the good ones; a merge and a history write others with them.
        """
        if self.quarantine is None or self._bad is None:
            return {}
        rows_in, rows_out = self._rows
        if self.recipe.shape.write not in KEEPING and staged.rows != rows_out:
            raise AssertionError(
                f"{self.recipe.key} has {rows_in} rows in, {self._bad.rows} quarantined and {staged.rows} staged"
            )
        return {SUFFIX: self.quarantine.commit(self._bad, self._made, numbers)}

    @property
    def done(self) -> Inspected:
        """What came of it."""
        kept = self.quarantine.rows(self.partitions) if self.quarantine else None
        return Inspected(self._outcomes, *self._rows, kept)
