"""A sieve: the rows of a query divided into those that a table takes and those that go to its quarantine.

The query runs once: its rows are set aside with a flag for every rule, counted, and read from there by whoever goes on
with the good ones. Rows in are counted after equal rows have collapsed, which they do in a table with a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from uuid import uuid4

import pyarrow as pa
from pyarrow.fs import FileType

from ml_platform.engine import delta, quarantine
from ml_platform.engine.assessment import blamed, parent_relations, require_columns
from ml_platform.engine.audit import audit
from ml_platform.engine.expectations import bad, flagged
from ml_platform.engine.files import filesystem
from ml_platform.engine.plan import STANDING, Shape, made, quoted, rows
from ml_platform.engine.provenance import ASKED_FILE, ASKED_OFFSET, FILE, OFFSET, asked
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.refused import as_rows, refused
from ml_platform.engine.staging import present, stage, undone_on_failure
from ml_platform.errors import PlatformError, ServiceError
from ml_platform.records.expectation import Rule
from ml_platform.records.table import Location, StagedFiles, TableSnapshot
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

SIFTED = "sifted.rows"
RECALLED = "recalled.rows"
RETURNED = "returned.rows"
_ASIDE = "platform/sifted"


@dataclass(frozen=True)
class Sifted:
    """What a sieve has divided, for as long as its rows are set aside.

    query: gives the good rows, over `relations`. bad: staged for the quarantine, not committed.
    standing: the rows that a merge keeps, where it keeps any. rows_in: good and bad. rows_out: good.
    """

    query: str
    relations: Mapping[str, StagedFiles]
    standing: StagedFiles | None
    bad: StagedFiles
    rows_in: int
    rows_out: int


@dataclass(frozen=True)
class Sieve:
    """A recipe's rules, with the tables that they look values up in, for the partitions that are made.

    every: all partitions that there are.
    """

    recipe: Recipe
    partitions: Sequence[str]
    every: Sequence[str]
    parents: Mapping[str, TableSnapshot]
    lakehouse: Lakehouse
    compute: Compute

    @contextmanager
    def sifted(
        self,
        query: str,
        relations: Mapping[str, StagedFiles],
        standing: StagedFiles | None = None,
        returning: StagedFiles | None = None,
    ) -> Iterator[Sifted]:
        """The query's rows of the partitions, divided.

        returning: rows of the quarantine that are sifted again with them.

        standing: what a merge keeps. Those of its rows that break a rule, which they did not when they came, are
        recalled: they are sifted with the query's rows, and no longer stand.
        Raises AuditError for a rule that does not run or is about a column that is not there, and for a bad row without
        a partition, ServiceError for a query that does not run; AssertionError where a row is lost or doubled.
        """
        schema = self.compute.fetch(f"SELECT * FROM {made(query)} LIMIT 0", relations).schema
        names: Sequence[str] = schema.names
        require_columns(self.recipe.key, self._rules, names, self.parents)
        with ExitStack() as open_:
            recalled = self._recalled(standing, names, open_)
            keeps = standing if recalled is None or standing is None else self._kept(recalled, standing, open_)
            read = {**relations, **({RECALLED: recalled} if recalled else {})}
            if returning is not None and returning.files:
                read[RETURNED] = self._returned(returning, schema, open_)
            incoming = self._incoming(query, read, names)
            flags = self._flagged(made(incoming), read, open_)
            good = f"SELECT {_listed(names)} FROM {SIFTED} WHERE NOT {bad(self._rules)}"
            staged = self._staged(flags, names, good)
            yield Sifted(good, {SIFTED: flags}, keeps, staged, flags.rows, flags.rows - staged.rows)

    @property
    def _rules(self) -> Sequence[Rule]:
        return self.recipe.expects.of_rows

    def _flagged(self, rows_: str, relations: Mapping[str, StagedFiles], open_: ExitStack) -> StagedFiles:
        plan = flagged(rows_, self._rules, self.recipe.shape.partition)
        read = {**relations, **parent_relations(self._rules, self.parents)}
        try:
            return self.compute.stage(plan, read, open_.enter_context(self._aside()), ())
        except ServiceError as error:
            raise self._blamed(error, rows_, relations, open_) from error

    def _blamed(
        self, error: ServiceError, rows_: str, relations: Mapping[str, StagedFiles], open_: ExitStack
    ) -> PlatformError:
        """The error that names the rule which does not run; the one that there is where it is the query itself."""
        try:
            plain = self.compute.stage(f"SELECT made.* FROM {rows_}", relations, open_.enter_context(self._aside()), ())
        except ServiceError:
            return error
        return blamed(error, self.recipe, self._rules, plain, self.parents, self.compute)

    def _recalled(self, standing: StagedFiles | None, names: Sequence[str], open_: ExitStack) -> StagedFiles | None:
        """The standing rows with their flags; None where none of them is bad."""
        if standing is None or not standing.files or any(name not in standing.schema.names for name in names):
            return None
        read = {STANDING: standing}
        plan = flagged(f"{STANDING} AS made", self._rules, self.recipe.shape.partition)
        query = f"SELECT count(*) AS bad FROM ({plan}) AS flagged WHERE {bad(self._rules)}"
        try:
            counted = self.compute.fetch(query, {**read, **parent_relations(self._rules, self.parents)})
        except ServiceError as error:
            raise blamed(error, self.recipe, self._rules, standing, self.parents, self.compute) from error
        if not counted["bad"].to_pylist()[0]:
            return None
        return self._flagged(f"{STANDING} AS made", read, open_)

    def _kept(self, recalled: StagedFiles, standing: StagedFiles, open_: ExitStack) -> StagedFiles:
        """The standing rows that are good."""
        query = f"SELECT {_listed(standing.schema.names)} FROM {RECALLED} WHERE NOT {bad(self._rules)}"
        return self.compute.stage(
            query, {RECALLED: recalled}, open_.enter_context(self._aside()), standing.partition_by
        )

    def _returned(self, returning: StagedFiles, schema: pa.Schema, open_: ExitStack) -> StagedFiles:
        """The quarantine's rows as they came, with their place in a landed file."""
        kept = delta.read_rows(returning).sort_by([("source_file", "ascending"), ("source_offset", "ascending")])
        rows_ = as_rows(kept["row"].to_pylist(), schema)
        for name, of in ((ASKED_FILE, "source_file"), (ASKED_OFFSET, "source_offset")):
            rows_ = rows_.append_column(name, kept[of])
        return stage(rows_.to_batches(), rows_.schema, open_.enter_context(self._aside()))

    @contextmanager
    def _aside(self) -> Iterator[Location]:
        """A folder beside the tables, which is gone afterwards. Errors name the table's key."""
        name = f"{self.recipe.key.replace('/', '.')}-{uuid4().hex}"
        try:
            yield replace(self.lakehouse.files(f"{_ASIDE}/{name}"), key=self.recipe.key)
        finally:
            files = filesystem(self.lakehouse.files(_ASIDE))
            if files.get_file_info(name).type != FileType.NotFound:
                files.delete_dir(name)

    def _incoming(self, query: str, relations: Mapping[str, StagedFiles], names: Sequence[str]) -> str:
        """The query of all rows, collapsed, with their place in a landed file where that is known.

        Of equal rows the first place stands.
        """
        shape = self.recipe.shape
        carrying = {name for name, files in relations.items() if {FILE, OFFSET} <= set(files.schema.names)} - {RETURNED}
        placed = None if {FILE, OFFSET} & set(names) or not carrying else asked(query, carrying)
        every = placed or query
        if RECALLED in relations:
            recalled = f"SELECT {_listed(names)} FROM {RECALLED} WHERE {bad(self._rules)}"
            every = f"SELECT * FROM {made(every)} UNION ALL BY NAME {recalled}"
        if RETURNED in relations:
            places = [] if placed is None else [ASKED_FILE, ASKED_OFFSET]
            returned = f"SELECT {_listed([*names, *places])} FROM {RETURNED}"
            every = f"SELECT * FROM {made(every)} UNION ALL BY NAME {returned}"
        if placed is None or not shape.key:
            # Also of a table that keeps its rows: one that was recalled may come of the query as well.
            return rows(every, replace(shape, write="overwrite"), self.partitions, self.every)
        every = rows(every, replace(shape, key=()), self.partitions, self.every)
        listed = _listed(names)
        first = f"row_number() OVER (PARTITION BY {listed} ORDER BY {ASKED_FILE}, {ASKED_OFFSET}) = 1"
        return f"SELECT {listed}, {ASKED_FILE}, {ASKED_OFFSET} FROM {made(every)} QUALIFY {first}"

    def _staged(self, flags: StagedFiles, columns: Sequence[str], good: str) -> StagedFiles:
        """The bad ones among the flagged rows, in the quarantine's folder; a failure leaves no file there."""
        partition = self.recipe.shape.partition
        target = self.lakehouse.table(quarantine.key_of(self.recipe.key))
        stood = present(target)
        found = refused(flags, self._rules, columns, partition)
        staged = stage(found, quarantine.schema(partition), target, (partition,) if partition else ())
        with undone_on_failure(staged, stood):
            audit(staged, Shape(partition=partition), self.compute, self.every)
            self._require_balance(good, flags, staged)
        return staged

    def _require_balance(self, good: str, flags: StagedFiles, bad_rows: StagedFiles) -> None:
        """Returns when every row that came is good or bad, and none is both."""
        counted = self.compute.fetch(f"SELECT count(*) AS good FROM ({good}) AS good_rows", {SIFTED: flags})
        rows_out = counted["good"].to_pylist()[0]
        if rows_out + bad_rows.rows != flags.rows:
            raise AssertionError(
                f"{self.recipe.key} has {flags.rows} rows in, {rows_out} out and {bad_rows.rows} quarantined"
            )


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(quoted(column) for column in columns)
