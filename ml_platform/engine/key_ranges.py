"""Key ranges: which files of a table can hold a key at all, by the lowest and highest value that its log keeps of each.

Files of a partition whose ranges overlap stand together as one cluster, so that the clusters of a partition never do,
and a key's place among them follows from the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ml_platform.engine import delta_log
from ml_platform.engine.plan import Shape, literal, quoted
from ml_platform.records.table import DataFile, TableSnapshot


@dataclass(frozen=True)
class Cluster:
    """Files of one partition. low, high: of the leading key column; None where the log does not say."""

    partition: str
    low: Any
    high: Any
    files: tuple[DataFile, ...]


def leading(shape: Shape) -> str | None:
    """The key column whose ranges count: the first that tells rows of one partition apart."""
    return next((column for column in shape.key if column != shape.partition), None)


def clusters(standing: TableSnapshot, shape: Shape) -> tuple[Cluster, ...]:
    """All files of the snapshot, by partition and range."""
    ranges = _ranges(standing, leading(shape))
    partitions: dict[str, list[DataFile]] = {}
    for file in standing.files:
        partitions.setdefault(_partition(file, shape), []).append(file)
    return tuple(
        cluster for partition, files in sorted(partitions.items()) for cluster in _clustered(partition, files, ranges)
    )


def overlapping(found: Sequence[Cluster], ranges: Mapping[str, tuple[Any, Any]]) -> tuple[Cluster, ...]:
    """The clusters that a key of these ranges can be in. ranges: partition → lowest and highest key."""
    return tuple(
        cluster
        for cluster in found
        if cluster.partition in ranges and _overlaps(cluster, *map(_comparable, ranges[cluster.partition]))
    )


def place(shape: Shape, found: Sequence[Cluster], row: str) -> str:
    """The expression for the number of a row's cluster among those of its partition, in the order of their ranges.

    A key that lies between two clusters belongs to the lower one. row: the relation's alias.
    """
    column = leading(shape)
    partitions: dict[str, list[Cluster]] = {}
    for cluster in found:
        partitions.setdefault(cluster.partition, []).append(cluster)
    cases = []
    for partition, those in partitions.items():
        if len(those) > 1 and column is not None:
            within = f"{row}.{quoted(shape.partition)} = {literal(partition)} AND " if shape.partition else ""
            cases += [
                f"WHEN {within}{row}.{quoted(column)} < {_sql(above.low)} THEN {number}"
                for number, above in enumerate(those[1:])
            ]
            cases.append(f"WHEN {within}true THEN {len(those) - 1}")
    return f"CASE {' '.join(cases)} ELSE 0 END" if cases else "0"


def _ranges(standing: TableSnapshot, column: str | None) -> dict[str, tuple[Any, Any]]:
    """File → lowest and highest value of the column, as far as the log says them exactly."""
    import pyarrow as pa

    table = delta_log.opened(standing.location, standing.version) if column else None
    if table is None:
        return {}
    actions = pa.table(table.get_add_actions(flatten=True))
    low, high = f"min.{column}", f"max.{column}"
    if low not in actions.column_names or high not in actions.column_names:
        return {}
    rows = actions.select(["path", low, high]).to_pylist()
    return {
        delta_log.spelled(row["path"]): (row[low], row[high])
        for row in rows
        if _comparable(row[low]) is not None and _comparable(row[high]) is not None
    }


def _clustered(partition: str, files: Sequence[DataFile], ranges: Mapping[str, tuple[Any, Any]]) -> list[Cluster]:
    if any(file.path not in ranges for file in files):
        return [Cluster(partition, None, None, tuple(files))]
    found: list[Cluster] = []
    for file in sorted(files, key=lambda file: (ranges[file.path][0], file.path)):
        low, high = ranges[file.path]
        last = found[-1] if found else None
        if last is not None and low <= last.high:
            found[-1] = Cluster(partition, last.low, max(last.high, high), (*last.files, file))
        else:
            found.append(Cluster(partition, low, high, (file,)))
    return found


def _overlaps(cluster: Cluster, low: Any, high: Any) -> bool:
    # A key column that changed its type has values that no range of the old ones is about.
    if cluster.low is None or low is None or high is None or type(low) is not type(cluster.low):
        return True
    return bool(low <= cluster.high and high >= cluster.low)


def _comparable(value: Any) -> Any:
    """The value where a log holds it exactly and SQL orders it as Python does; else None."""
    exact = isinstance(value, int | str | date) and not isinstance(value, bool | datetime)
    return value if exact else None


def _sql(value: Any) -> str:
    if isinstance(value, str):
        return literal(value)
    return f"DATE {literal(value.isoformat())}" if isinstance(value, date) else str(value)


def _partition(file: DataFile, shape: Shape) -> str:
    return file.partition[shape.partition] if shape.partition else ""
