"""Readable tables: those whose rows are the rows of the files that their log names, by what their protocol says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_platform.errors import ServiceError

if TYPE_CHECKING:
    from deltalake import DeltaTable

# Reader features that change nothing about which rows a file holds; every other is one that may.
_KNOWN = {"timestampNtz", "vacuumProtocolCheck"}
_LISTED = 3
_MAPPING = "delta.columnMapping.mode"


def require_readable(table: DeltaTable, name: str) -> None:
    """Returns for a table whose files can be read for its rows; else raises ServiceError, which names why not.

    name: what the table is called, for errors.
    """
    protocol = table.protocol()
    version = protocol.min_reader_version
    hidden = set(protocol.reader_features or ()) - _KNOWN
    if version > _LISTED:
        hidden.add(f"reader version {version}")
    # Before features were listed, version 2 stood for column mapping, which a table then switched on or did not.
    if table.metadata().configuration.get(_MAPPING, "none") != "none":
        hidden.add("columnMapping")
    if hidden:
        raise ServiceError(
            f"the table {name} uses {', '.join(sorted(hidden))}, but reading its files would misread it",
            allowed=f"Reader features that are known to change no row are {', '.join(sorted(_KNOWN))}",
            remedy="Rewrite it without these features",
        )
