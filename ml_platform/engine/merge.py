"""The merge: incoming rows into a table of one row per key, in which only the files that hold their keys are rewritten.

The log's statistics say which files can hold an incoming key, a join over their keys alone which do. Of those the rows
that stay are written again beside the rows that come, range by range, so that files go on to hold keys of one range.
Where every file holds one, this is the anti-join that rewrites the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest

from ml_platform.engine import merge_plan
from ml_platform.engine.aside import Aside
from ml_platform.engine.audit import audit, audit_columns, audit_ties
from ml_platform.engine.key_ranges import Cluster, leading, place
from ml_platform.engine.plan import INCOMING, STANDING, Shape, literal, quoted
from ml_platform.engine.touched import (
    Merge,
    Ranges,
    candidates,
    collisions,
    files_of,
    hit_clusters,
    holding,
    moved,
    part,
    ranges_of,
    superseded,
)
from ml_platform.records.table import DataFile, StagedFiles, View
from ml_platform.roles.compute import Compute

_LAYERS = 16


def distinct(
    incoming: StagedFiles | View, shape: Shape, compute: Compute, aside: Aside
) -> tuple[StagedFiles | View, Ranges]:
    """The newest row of each key, and the ranges that these are in.

    Raises AuditError for an incomplete key, and for two rows of one key and moment.
    """
    audit_columns(incoming, shape)
    counted = compute.fetch(merge_plan.counted(shape, leading(shape)), {INCOMING: incoming}).to_pylist()
    ranges, total = ranges_of(counted), sum(row["rows"] for row in counted)
    if all(row["keys"] == total and not row["partial"] for row in counted):
        return (replace(incoming, rows=total) if isinstance(incoming, View) else incoming), ranges
    found = aside.query(merge_plan.newest(shape, incoming.schema.names), {INCOMING: incoming})
    audit(found, shape, compute)
    return found, ranges


def merged(
    merge: Merge, incoming: StagedFiles | View, ranges: Ranges | None = None
) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """The rewritten files, staged, and the standing ones that they replace.

    incoming: one row per key. ranges: of their keys, where they are known.
    Raises AuditError where `exact` and a row ties with a different one that stands.
    """
    shape, names = merge.shape, incoming.schema.names
    if merge.deleted is not None:
        seen = {INCOMING: incoming, merge_plan.DELETED: merge.deleted}
        incoming = merge.aside.query(merge_plan.alive(shape), seen)
    found = candidates(merge, incoming, ranges)
    hits = collisions(merge, incoming, found)
    if any(hit["tied"] for hit in hits):
        standing = part(merge.standing, files_of(hit_clusters(found, hits)), incoming)
        incoming = merge.aside.query(merge_plan.fresh(shape, names), {INCOMING: incoming, STANDING: standing})
        if merge.exact:
            audit_ties(incoming, standing, shape, merge.compute)
        hits = collisions(merge, incoming, found)
    touched = moved(merge, incoming) or holding(merge, incoming, hit_clusters(found, hits))
    gone = superseded(found, hits)
    return _rewritten(merge, incoming, touched, gone, contested=any(hit["newer"] for hit in hits)), files_of(touched)


def _rewritten(
    merge: Merge, incoming: StagedFiles | View, touched: Sequence[Cluster], gone: Collection[str], *, contested: bool
) -> StagedFiles:
    """The touched files' rows that stay and the incoming ones, layer by layer: the n-th ranges of all partitions.

    gone: paths of files of which no row stays; they are not read again.
    """
    shape, names = merge.shape, incoming.schema.names
    few = _LAYERS if _ordered_alike(merge, incoming) else 1
    joined = [_joined(list(those), few) for _, those in groupby(touched, key=lambda cluster: cluster.partition)]
    layers = [[c for c in layer if c is not None] for layer in zip_longest(*joined)] or [[]]
    number = place(shape, [cluster for those in joined for cluster in those], "i")
    relations: dict[str, StagedFiles | View] = {INCOMING: incoming}
    if contested:
        relations[STANDING] = part(merge.standing, _left(touched, gone), incoming)
    queries = []
    for n, layer in enumerate(layers):
        within, left = f"{number} = {n}", _left(layer, gone)
        if left:
            relations[f"layer.l{n}"] = part(merge.standing, left, incoming)
            near = f"({within}){_among(shape, left)}"
            queries.append(merge_plan.staying(shape, names, f"layer.l{n}", near, contested=contested))
        queries.append(merge_plan.coming(shape, names, within, contested=contested))
    query = " UNION ALL ".join(f"SELECT * FROM ({each}) AS part{n}" for n, each in enumerate(queries))
    partition_by = (shape.partition,) if shape.partition else ()
    return merge.compute.stage(query, relations, merge.standing.location, partition_by)


def _left(of: Sequence[Cluster], gone: Collection[str]) -> tuple[DataFile, ...]:
    return tuple(file for file in files_of(of) if file.path not in gone)


def _among(shape: Shape, files: Sequence[DataFile]) -> str:
    """That an incoming row is of a partition of the files, as a further predicate."""
    if shape.partition is None:
        return ""
    values = sorted({file.partition[shape.partition] for file in files})
    return f" AND i.{quoted(shape.partition)} IN ({', '.join(literal(value) for value in values)})"


def _ordered_alike(merge: Merge, incoming: StagedFiles | View) -> bool:
    """Whether incoming keys are ordered as those that stand: else a range says nothing of them."""
    column, stands = leading(merge.shape), merge.standing.schema
    return column not in stands.names or stands.field(column).type == incoming.schema.field(column).type


def _joined(those: Sequence[Cluster], few: int) -> list[Cluster]:
    """A partition's clusters in the order of their ranges, neighbours joined until there are few."""
    few = min(few, len(those))
    groups = [[c for at, c in enumerate(those) if at * few // len(those) == n] for n in range(few)]
    return [Cluster(group[0].partition, group[0].low, group[-1].high, files_of(group)) for group in groups]
