"""Writers in processes of their own, appending to one table of a lakehouse at the same time.

As a program, `python -m ml_platform.testing.concurrent_writers NAME COUNT` is one of them.
"""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa

from ml_platform import binding
from ml_platform.engine import delta
from ml_platform.engine.retry import until_undisputed
from ml_platform.engine.staging import stage
from ml_platform.records.table import Commit
from ml_platform.roles.lakehouse import Lakehouse

TABLE = "bronze/contended"
WRITERS = 4
COMMITS = 5


class ConcurrentWritersContract:
    """What a lakehouse keeps while several write. Inherit it; the environment names a lakehouse that holds nothing."""

    def test_of_concurrent_commits_none_is_lost_and_none_is_doubled(self) -> None:
        command = [sys.executable, "-P", "-m", __name__]
        names = [f"writer-{number}" for number in range(WRITERS)]
        writers = [subprocess.Popen([*command, name, str(COMMITS)], start_new_session=True) for name in names]
        try:
            assert [writer.wait(timeout=60) for writer in writers] == [0] * WRITERS
        finally:
            for writer in writers:
                writer.kill()
                writer.wait()

        table = delta.existing(binding.service("lakehouse").table(TABLE))
        rows = [(row["writer"], row["number"]) for row in delta.read_rows(table).to_pylist()]
        assert sorted(rows) == [(name, number) for name in names for number in range(COMMITS)]
        assert table.version == WRITERS * COMMITS - 1
        assert set(delta.transactions(table.location, names).values()) == {COMMITS - 1}


def append(lakehouse: Lakehouse, writer: str, number: int) -> Commit:
    """One row of this writer stands in the table; a conflict with another writer is tried again."""
    rows = pa.table({"writer": [writer], "number": [number]})
    location = lakehouse.table(TABLE)
    staged = stage(rows.to_batches(), rows.schema, location)

    def commit() -> Commit:
        read = delta.snapshot(location)
        return delta.commit(staged, read=read, replaced=(), transactions={writer: number}, evidence={})

    return until_undisputed(commit)


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        append(binding.service("lakehouse"), sys.argv[1], number)
