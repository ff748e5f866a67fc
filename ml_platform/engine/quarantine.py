"""Quarantine: where rows stand that a table refused, each with the reason, and where it came from."""

from __future__ import annotations

import pyarrow as pa

SUFFIX = "__quarantine"

SCHEMA = pa.schema(
    [
        pa.field("rule", pa.string()),  # the rule that the row broke first, by its name in the declaration
        pa.field("reason", pa.string()),  # every rule that it broke, in sentences
        pa.field("source_file", pa.string()),  # NULL where the row comes from several, or from a computation
        pa.field("source_offset", pa.int64()),  # its place in the file, counted from 0
        pa.field("row", pa.string()),  # the row as it came, a JSON object
        pa.field("quarantined_at", pa.timestamp("us", tz="UTC")),
    ]
)


def key_of(table: str) -> str:
    """The asset key of a table's quarantine.

    >>> key_of("silver/flights")
    'silver/flights__quarantine'
    """
    return f"{table}{SUFFIX}"


def schema(partition: str | None) -> pa.Schema:
    """The columns of a quarantine, with the partition column of its table, which has none where this is None."""
    return SCHEMA if partition is None else SCHEMA.append(pa.field(partition, pa.string()))
