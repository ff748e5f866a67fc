"""Maintenance of one table: compaction, a checkpoint, and a vacuum within its retention, taking turns with writers."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ml_platform.engine import delta, delta_log
from ml_platform.engine.compaction import SMALL_BYTES, compact
from ml_platform.engine.incremental import waits_from
from ml_platform.engine.table_log import TableLog, read_log, require_whole
from ml_platform.engine.vacuum import sweep
from ml_platform.errors import AuditError, ServiceError
from ml_platform.records.table import Location, TableSnapshot
from ml_platform.records.upkeep import Maintained, Pin, Upkeep
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

_ENTRIES_A_CHECKPOINT = 10


def maintain(
    upkeep: Upkeep,
    lakehouse: Lakehouse,
    compute: Compute,
    pins: Sequence[Pin],
    *,
    readers: Sequence[str] = (),
    now: float | None = None,
    small: int = SMALL_BYTES,
) -> Maintained:
    """The table in shape, with the same rows, the same fingerprint and every version that is to be kept.

    pins: of all that holds on to versions. readers: tables that read this one. now: seconds since 1970; the machine's
    clock without it. small: as for `compact`.
    Raises NotFoundError where the table does not exist, ServiceError where its log is damaged; nothing is touched then.
    """
    started = time.monotonic()
    location = lakehouse.table(upkeep.key)
    before = delta.existing(location)
    require_whole(read_log(location))
    done = compact(before, _columns(upkeep, before), compute, small)
    checkpoint = _checkpoint(location, read_log(location))
    mine = [pin for pin in pins if pin.key == upkeep.key]
    waiting = {key: at for key in readers if (at := waits_from(location, lakehouse.table(key))) is not None}
    swept = sweep(location, upkeep.retention_days, mine, time.time() if now is None else now, waiting)
    sizes = [sum(file.size_bytes for file in snap.files) for snap in (done.before, done.after)]
    return Maintained(
        key=upkeep.key,
        version=delta.existing(location).version,
        files_before=len(done.before.files),
        files_after=len(done.after.files),
        bytes_before=sizes[0],
        bytes_after=sizes[1],
        partitions=done.rewritten,
        gave_way=done.gave_way,
        checkpoint=checkpoint,
        swept=swept,
        seconds=time.monotonic() - started,
    )


def _columns(upkeep: Upkeep, of: TableSnapshot) -> tuple[str, ...]:
    """The columns to cluster by; the partition's own is the same in every row of a file."""
    missing = [column for column in upkeep.cluster_by if column not in of.schema.names]
    if missing:
        raise AuditError(
            f"{upkeep.key} has no column {', '.join(missing)}, but it is to be clustered by it",
            allowed=f"It has {', '.join(of.schema.names)}",
            remedy="Mend cluster_by, or key, in its defs.yaml",
        )
    return tuple(column for column in upkeep.cluster_by if column not in of.partition_by)


def _checkpoint(location: Location, log: TableLog) -> bool:
    """Whether a checkpoint was written: where many commits stand since the last one.

    Raises ServiceError where there is no room for it.
    """
    from deltalake.exceptions import DeltaError

    if log.latest - max(log.checkpoints, default=-1) < _ENTRIES_A_CHECKPOINT:
        return False
    table = delta_log.opened(location)
    if table is None:
        raise AssertionError(f"{location.key} was read and is not there")
    try:
        table.create_checkpoint()
    except (DeltaError, OSError) as error:
        raise ServiceError(
            f"the checkpoint of version {table.version()} of {location.key} could not be written: "
            + str(error).partition("\n")[0],
            allowed="Every commit stands without it; only opening the table takes longer",
            remedy="See that its store can be written to and has room, and run it again",
        ) from error
    return True
