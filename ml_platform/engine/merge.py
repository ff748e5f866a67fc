"""The merge: incoming rows into a table of one row per key, in which only the files that hold their keys are rewritten.

The log's statistics say which files can hold an incoming key, a join over their keys alone which do. Of those the rows
that stay are written again beside the rows that come, range by range, so that files go on to hold keys of one range.
Where every file holds one, this is the anti-join that rewrites the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, zip_longest

from ml_platform.engine import merge_plan
from ml_platform.engine.aside import Aside
from ml_platform.engine.audit import audit, audit_columns, audit_ties
from ml_platform.engine.key_ranges import Cluster, leading, place
from ml_platform.engine.plan import INCOMING, STANDING, Shape
from ml_platform.engine.touched import Merge, candidates, collisions, files_of, hit_clusters, holding, moved, part
from ml_platform.records.table import DataFile, StagedFiles, View
from ml_platform.roles.compute import Compute

_LAYERS = 16


def distinct(incoming: StagedFiles | View, shape: Shape, compute: Compute, aside: Aside) -> StagedFiles | View:
    """The newest row of each key. Raises AuditError for an incomplete key, and for two rows of one key and moment."""
    audit_columns(incoming, shape)
    counts = compute.fetch(merge_plan.counted(shape), {INCOMING: incoming}).to_pylist()[0]
    if counts["rows"] == counts["keys"] and not counts["partial"]:
        return replace(incoming, rows=counts["rows"]) if isinstance(incoming, View) else incoming
    found = aside.query(merge_plan.newest(shape, incoming.schema.names), {INCOMING: incoming})
    audit(found, shape, compute)
    return found


def merged(merge: Merge, incoming: StagedFiles | View) -> tuple[StagedFiles, tuple[DataFile, ...]]:
    """The rewritten files, staged, and the standing ones that they replace.

    incoming: one row per key. Raises AuditError where `exact` and a row ties with a different one that stands.
    """
    shape, names = merge.shape, incoming.schema.names
    if merge.deleted is not None:
        seen = {INCOMING: incoming, merge_plan.DELETED: merge.deleted}
        incoming = merge.aside.query(merge_plan.alive(shape), seen)
    found = candidates(merge, incoming)
    hits = collisions(merge, incoming, found)
    if any(hit["tied"] for hit in hits):
        standing = part(merge.standing, files_of(hit_clusters(found, hits)), incoming)
        incoming = merge.aside.query(merge_plan.fresh(shape, names), {INCOMING: incoming, STANDING: standing})
        if merge.exact:
            audit_ties(incoming, standing, shape, merge.compute)
        hits = collisions(merge, incoming, found)
    touched = moved(merge, incoming) or holding(merge, incoming, hit_clusters(found, hits))
    return _rewritten(merge, incoming, touched, contested=any(hit["newer"] for hit in hits)), files_of(touched)


def _rewritten(
    merge: Merge, incoming: StagedFiles | View, touched: Sequence[Cluster], *, contested: bool
) -> StagedFiles:
    """The touched files' rows that stay and the incoming ones, layer by layer: the n-th ranges of all partitions."""
    shape, names = merge.shape, incoming.schema.names
    few = _LAYERS if _ordered_alike(merge, incoming) else 1
    joined = [_joined(list(those), few) for _, those in groupby(touched, key=lambda cluster: cluster.partition)]
    layers = [[c for c in layer if c is not None] for layer in zip_longest(*joined)] or [[]]
    number = place(shape, [cluster for those in joined for cluster in those], "i")
    relations: dict[str, StagedFiles | View] = {
        f"layer.l{n}": part(merge.standing, files_of(layer), incoming) for n, layer in enumerate(layers)
    }
    query = " UNION ALL ".join(
        f"SELECT * FROM ({merge_plan.layer(shape, names, name, f'{number} = {n}', contested=contested)}) AS layer{n}"
        for n, name in enumerate(relations)
    )
    seen = {**relations, INCOMING: incoming, STANDING: part(merge.standing, files_of(touched), incoming)}
    partition_by = (shape.partition,) if shape.partition else ()
    return merge.compute.stage(query, seen, merge.standing.location, partition_by)


def _ordered_alike(merge: Merge, incoming: StagedFiles | View) -> bool:
    """Whether incoming keys are ordered as those that stand: else a range says nothing of them."""
    column, stands = leading(merge.shape), merge.standing.schema
    return column not in stands.names or stands.field(column).type == incoming.schema.field(column).type


def _joined(those: Sequence[Cluster], few: int) -> list[Cluster]:
    """A partition's clusters in the order of their ranges, neighbours joined until there are few."""
    few = min(few, len(those))
    groups = [[c for at, c in enumerate(those) if at * few // len(those) == n] for n in range(few)]
    return [Cluster(group[0].partition, group[0].low, group[-1].high, files_of(group)) for group in groups]
