"""A source: a bronze table of landed files, as they landed, append-only."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
import re
from typing import Annotated, Any, Literal

import dagster as dg
from pydantic import AfterValidator, Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, place, selected
from ml_platform.components.columns import Derivation
from ml_platform.components.declaration import Declaration
from ml_platform.components.domain import domain_of, partition_keys
from ml_platform.components.lines import line_of
from ml_platform.components.rejected import rejected
from ml_platform.declared_specs import SOURCE
from ml_platform.engine.lineage import Columns
from ml_platform.engine.scope import ITS_OWN
from ml_platform.errors import DeclarationError, nearest
from ml_platform.roles.lakehouse import Lakehouse

_TYPES = ("string", "int32", "int64", "float64", "boolean", "date", "timestamp")
# Of at most 38 digits, and so many of them behind the point.
_DECIMAL = re.compile(r"decimal\(([1-9]|[12]\d|3[0-8]),(\d|[12]\d|3[0-8])\)")


def _type(kind: str) -> str:
    decimal = _DECIMAL.fullmatch(kind)
    if kind not in _TYPES and not (decimal and int(decimal[2]) <= int(decimal[1])):
        raise ValueError(f"types are {', '.join(_TYPES)} and, for instance, decimal(15,2)")
    return kind


ColumnType = Annotated[str, AfterValidator(_type)]

# What `ml-platform declare` leaves where only a person knows what has to stand.
OPEN = "?"

# What a row says of its own ingest, beside what its file says.
PROVENANCE = ("_source_file", "_source_digest", "_source_offset", "_ingested_at", "_sequence")


class Source(Declaration):
    """Rows of landed files, each with its file, its offset and the time of its ingest, every file exactly once."""

    description: str = Field(description="What one row is, for people.")
    landing: str = Field(description="Asset key of the folder that its files land in, for instance landing/flights.")
    files: str = Field(
        description="Which of the landed files are its own, for instance departures/*.csv: * stays within a folder, ** "
        "goes through all below, and hidden ones are named with their dot."
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(
        default=None, description="The format of its files; without it each file's name says it, before .gz or .zst."
    )
    on_change: Literal["refuse", "ingest"] = Field(
        default="refuse",
        description="A file that holds other bytes under its old name: refused, or taken as a further version of it.",
    )
    new_columns: Literal["fail", "add", "quarantine"] = Field(
        default="fail",
        description="A column of a file that is not declared: the run fails, the table gets it, or the rows that have "
        "it are quarantined.",
    )
    misfits: Literal["fail", "quarantine"] = Field(
        default="fail",
        description="A row that the declared types or partitions do not hold: the run fails, or it is quarantined.",
    )
    type_changes: Literal["fail", "widen"] = Field(
        default="fail",
        description="A column that is declared wider than its table holds it: the run fails, or every row is written "
        "again as declared. Nothing ever narrows.",
    )
    columns: dict[str, ColumnType] = Field(
        description="Every column of the files with its type: string, int32, int64, float64, boolean, date, timestamp "
        "or decimal(digits,scale); times are UTC."
    )
    event_time: str = Field(description="The column that says when a row is about.")
    known_at: str = Field(description="The column that says when a row could be known.")
    partition_of: str | None = Field(
        default=None,
        description="The date or timestamp whose month, in the domain's zone, is a row's partition; none without it.",
    )
    retention_days: float | None = Field(
        default=None,
        ge=0,
        description="How long its old versions stay readable; as long as the domain says without it.",
    )
    cluster_by: list[str] = Field(
        default=[], description="The columns that maintenance sorts rows by within files; as they landed without it."
    )

    def derivation(self, context: dg.ComponentLoadContext, key: str) -> Derivation:
        """Its columns: those of its files, which are their lineage, the partition's, and where a row comes from."""
        partition = domain_of(context.defs_module_path / key).partitions.column
        names = {name: name for name in self.columns} | ({partition: self.partition_of} if self.partition_of else {})
        landed = {name: ((self.landing, f"{self.files}: {of}"),) for name, of in names.items()}
        others = () if self.new_columns != "add" else ((self.landing, f"{self.files}: {ITS_OWN}"),)
        found = Columns({**landed, **dict.fromkeys(PROVENANCE, ())}, complete=not others, others=others)
        return Derivation((), lambda _: found)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The bronze asset, and that of its quarantine where rows may go there."""
        self._check(context)
        self._require_own_names(context)
        domain = domain_of(context.path)
        every = partition_keys(context.path)
        partitioned = self.partition_of is not None
        column = domain.partitions.column if partitioned else None
        source = self._source(key_of(context), column, domain.timezone)
        lineage = self.derivation(context, key_of(context)).columns({}).lineage
        about = {"event_time": self.event_time, "known_at": self.known_at, "clock": domain.clock, SOURCE: source}

        @asset(
            context,
            description=self.description,
            deps=[self.landing],
            code=digest(self.model_dump(exclude={"retention_days", "cluster_by"})),
            kinds={"deltalake", "bronze"},
            partitioned=partitioned,
            follows=False,
            metadata=about,
            retention_days=self.retention_days,
            cluster_by=self.cluster_by,
        )
        def bronze(
            context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[Lakehouse]
        ) -> dg.MaterializeResult[Any]:
            from ml_platform.engine import delta, ingest

            done = ingest.ingest(ingest.Source(**source), selected(context, partitioned=partitioned), every, lakehouse)
            if column:
                metadata.record_partitions(context, done.snapshot, column, done.commit.partitions)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(delta.fingerprint(done.snapshot)),
                metadata={
                    **metadata.of_table(done.snapshot, done.commit, done.seconds, lineage),
                    "files_ingested": done.files,
                    "files_offered": done.offered,
                    **metadata.of_ingest(done),
                    "rows_waiting": metadata.as_json(done.waiting),
                },
            )

        return dg.Definitions(assets=[bronze, *([rejected(context)] if "quarantine" in self._policy else [])])

    @property
    def _policy(self) -> tuple[str, str]:
        return self.new_columns, self.misfits

    def _source(self, key: str, column: str | None, timezone: str) -> dict[str, Any]:
        """The arguments of `engine.ingest.Source`, which the sensor on landed files reads as well."""
        return {
            "key": key,
            "landing": self.landing,
            "pattern": self.files,
            "columns": dict(self.columns),
            "partition": column,
            "partition_of": self.partition_of or "",
            "timezone": timezone,
            "format": self.format,
            "on_change": self.on_change,
            "new_columns": self.new_columns,
            "misfits": self.misfits,
            "type_changes": self.type_changes,
        }

    def _require_own_names(self, context: dg.ComponentLoadContext) -> None:
        """Returns where no two columns of the table differ in case only."""
        partition = [domain_of(context.path).partitions.column] if self.partition_of else []
        added = {name.lower(): name for name in (*PROVENANCE, *partition)}
        seen: dict[str, str] = {}
        for column in self.columns:
            if column.lower() in added:
                raise DeclarationError(
                    f"{line_of(context, 'columns', column)}: columns has {column}, but the table has "
                    f"{added[column.lower()]} beside those of its files",
                    remedy="Land the files with the column under another name",
                )
            if seen.setdefault(column.lower(), column) != column:
                raise DeclarationError(
                    f"{line_of(context, 'columns', column)}: columns has {seen[column.lower()]} and {column}, but no "
                    "two columns of a table differ in case only",
                    remedy="Land the files with one of them under another name",
                )

    def _check(self, context: dg.ComponentLoadContext) -> None:
        for field in ("landing", "event_time", "known_at"):
            if getattr(self, field) == OPEN and OPEN not in self.columns:
                raise DeclarationError(
                    f"{place(context)}: {field} is {OPEN!r}, but that is for a person to say",
                    allowed="" if field == "landing" else f"Columns are {', '.join(self.columns)}",
                    remedy=f"Put the {'asset key of the landing' if field == 'landing' else 'column'} there",
                )
        for column in self.cluster_by:
            if column not in self.columns:
                raise DeclarationError(
                    f"{place(context)}: cluster_by names {column!r}, but the source declares no such column",
                    allowed=nearest(column, self.columns),
                )
        for field in ("event_time", "known_at", "partition_of"):
            column = getattr(self, field)
            if column is not None and column not in self.columns:
                raise DeclarationError(
                    f"{place(context)}: {field} is {column!r}, but the source declares no such column",
                    allowed=nearest(column, self.columns),
                )
        if self.partition_of and self.columns[self.partition_of] not in ("date", "timestamp"):
            raise DeclarationError(
                f"{place(context)}: partition_of is {self.partition_of!r}, a {self.columns[self.partition_of]}, "
                "but a month is taken from a date or a timestamp"
            )
