"""Touched files: which files of a table hold a key that incoming rows have, and which of the two rows is newer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_platform.engine import merge_plan
from ml_platform.engine.aside import Aside
from ml_platform.engine.key_ranges import Cluster, clusters, leading, overlapping, place
from ml_platform.engine.plan import INCOMING, STANDING, Shape, quoted
from ml_platform.records.table import DataFile, StagedFiles, TableSnapshot, View
from ml_platform.roles.compute import Compute

_PROBES = 64


@dataclass(frozen=True)
class Merge:
    """Incoming rows on their way into a table.

    standing: the partitions that they can be in, as they stand; without files where the table is new.
    deleted: the delete markers of the table; None where it has none.
    exact: whether the incoming rows are only what came to inputs since they were last read; of two rows of one key and
    moment neither then replaces the other, as it would not had they come together.
    """

    standing: StagedFiles
    deleted: StagedFiles | None
    shape: Shape
    exact: bool
    compute: Compute
    aside: Aside


def candidates(merge: Merge, incoming: StagedFiles | View) -> tuple[Cluster, ...]:
    """The standing files that can hold an incoming key, by what the log says of them."""
    if not merge.standing.files or not incoming.rows or not isinstance(merge.standing, TableSnapshot):
        return ()
    shape, column = merge.shape, leading(merge.shape)
    partition, grouped = (quoted(shape.partition), " GROUP BY 1") if shape.partition else ("''", "")
    key = quoted(column) if column else "NULL"
    query = f"SELECT {partition} AS p, min({key}) AS low, max({key}) AS high FROM {INCOMING}{grouped}"
    rows = merge.compute.fetch(query, {INCOMING: incoming}).to_pylist()
    return overlapping(clusters(merge.standing, shape), {row["p"]: (row["low"], row["high"]) for row in rows})


def collisions(merge: Merge, incoming: StagedFiles | View, found: Sequence[Cluster]) -> list[dict[str, Any]]:
    """Where incoming keys stand, by partition and place; nothing where no file can hold one."""
    if not found or not incoming.rows:
        return []
    query = merge_plan.collisions(merge.shape, place(merge.shape, found, "s"))
    relations = {INCOMING: incoming, STANDING: part(merge.standing, files_of(found), incoming)}
    hits: list[dict[str, Any]] = merge.compute.fetch(query, relations).to_pylist()
    return hits


def hit_clusters(found: Sequence[Cluster], hits: Sequence[Mapping[str, Any]]) -> tuple[Cluster, ...]:
    """The clusters in which rows were found that have an incoming key."""
    wanted = {(hit["partition"], hit["place"]) for hit in hits if hit["matched"]}
    partitions: dict[str, list[Cluster]] = {}
    for cluster in found:
        partitions.setdefault(cluster.partition, []).append(cluster)
    return tuple(
        cluster
        for partition, those in partitions.items()
        for number, cluster in enumerate(those)
        if (partition, number) in wanted
    )


def holding(merge: Merge, incoming: StagedFiles | View, hit: Sequence[Cluster]) -> tuple[Cluster, ...]:
    """The clusters with only the files that hold an incoming key: ranges alone cannot tell overlapping files apart."""
    unsure = files_of([cluster for cluster in hit if len(cluster.files) > 1])
    if not unsure:
        return tuple(hit)
    step = -(-len(unsure) // _PROBES)
    probes = {f"probe.p{n}": unsure[at : at + step] for n, at in enumerate(range(0, len(unsure), step))}
    relations = {name: part(merge.standing, files, incoming) for name, files in probes.items()}
    rows = merge.compute.fetch(merge_plan.holding(merge.shape, list(probes)), {INCOMING: incoming, **relations})
    names = list(probes)
    held = {file.path for number in rows["number"].to_pylist() for file in probes[names[number]]}
    kept = (replace(c, files=tuple(file for file in c.files if len(c.files) == 1 or file.path in held)) for c in hit)
    return tuple(cluster for cluster in kept if cluster.files)


def moved(merge: Merge, incoming: StagedFiles | View) -> tuple[Cluster, ...]:
    """Everything that stands, where columns changed their type or went: then every row has to be written again."""
    stands = {field.name: field.type for field in merge.standing.schema}
    comes = {field.name: field.type for field in incoming.schema}
    if isinstance(merge.standing, TableSnapshot) and any(comes.get(name) != kind for name, kind in stands.items()):
        return clusters(merge.standing, merge.shape)
    return ()


def files_of(of: Sequence[Cluster]) -> tuple[DataFile, ...]:
    """The files of the clusters, in their order."""
    return tuple(file for cluster in of for file in cluster.files)


def part(standing: StagedFiles, files: Sequence[DataFile], like: StagedFiles | View) -> StagedFiles:
    """Some of the standing files, with the columns that the incoming rows have."""
    return StagedFiles(standing.location, like.schema, standing.partition_by, tuple(files))
