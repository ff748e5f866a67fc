"""Logs that cannot be read: deltalake's own errors of one, and ours, which say of which table and what still stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.engine.files import filesystem, undrawn
from ml_platform.errors import ServiceError
from ml_platform.records.table import Location

if TYPE_CHECKING:
    from deltalake import DeltaTable


def table_at(location: Location, version: int | None = None) -> DeltaTable:
    """The table at a version. Raises DeltaError, also where the library panics at what it cannot parse."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(location.uri, version=version, storage_options=location.options)
    except BaseException as error:
        # It has no class to be caught by, and ends whatever goes on where an error of a table would only be told.
        if type(error).__name__ != "PanicException":
            raise
        raise DeltaError(first_line(error)) from error


def unreadable(location: Location, why: str) -> ServiceError:
    """The error for a log that cannot be read; it says which version can."""
    last = _last_readable(location)
    stands = f"Version {last} is the last that can be read" if last is not None else "No version of it can be read"
    return ServiceError(
        f"the log of the table {location.key} cannot be read, but every read goes through it: {why}",
        allowed=stands,
        remedy="Restore the table's _delta_log; its data files are untouched",
    )


def unreached(location: Location, error: OSError) -> ServiceError:
    """The error for a table whose store does not give what is asked of it."""
    return ServiceError(
        f"the log of the table {location.key} cannot be read, but every read goes through it: {undrawn(error)}",
        remedy=f"See that {location.uri} can be reached and read",
    )


def _last_readable(location: Location) -> int | None:
    """The newest version that opens, looked for from the newest commit backwards."""
    from deltalake.exceptions import DeltaError
    from pyarrow.fs import FileSelector

    try:
        found = filesystem(location).get_file_info(FileSelector("_delta_log", allow_not_found=True))
    except OSError:
        return None
    commits = sorted((info for info in found if info.base_name.endswith(".json") and info.size), key=lambda i: i.path)
    for info in reversed(commits):
        try:
            return int(table_at(location, int(info.base_name[:20])).version())
        except (DeltaError, OSError):
            continue
    return None


def first_line(error: BaseException) -> str:
    """What the library says, without the stack of its own that it adds."""
    return str(error).partition("\n")[0]
