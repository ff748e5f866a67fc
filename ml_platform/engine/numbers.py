"""Numbers: what one version of a table keeps under names, its application transactions, all read from its log at once.

deltalake reads the log anew for each name, which for many names takes longer than what is decided by them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ml_platform.engine import delta_log
from ml_platform.engine.files import DAMAGED, filesystem
from ml_platform.engine.log_errors import unreadable
from ml_platform.records.table import Location

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_FOLDER = "_delta_log"
_WHOLE_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_MARK = b'"txn"'


@dataclass(frozen=True)
class Numbers:
    """The numbers of one version, which was opened before: its log can be read."""

    location: Location
    version: int

    def get(self, name: str) -> int | None:
        """The number under a name; None where it is not there, or a restore took it back."""
        number = self._by_deltalake(name) if self._all is None else self._all.get(name)
        return None if number == delta_log.UNDONE else number

    @cached_property
    def _all(self) -> dict[str, int] | None:
        """Name → number; None where the log has other entries than commits, and checkpoints of one file."""
        from pyarrow.fs import FileSelector

        files = filesystem(self.location)
        names = {info.base_name for info in files.get_file_info(FileSelector(_FOLDER, allow_not_found=True))}
        checkpoints = [int(found[1]) for name in names if (found := _WHOLE_CHECKPOINT.fullmatch(name))]
        base = max((version for version in checkpoints if version <= self.version), default=-1)
        commits = [f"{version:020}.json" for version in range(base + 1, self.version + 1)]
        if not names.issuperset(commits):
            return None
        said = f"the checkpoint of version {base}"
        try:
            kept = _in_checkpoint(files, base) if base >= 0 else {}
            for version, commit in enumerate(commits, base + 1):
                said = f"commit {version}"
                kept.update(_in_commit(files, commit))
        except DAMAGED as error:
            told = f"{said} is damaged: {str(error).partition(chr(10))[0]}"
            raise unreadable(self.location, told) from error
        return kept

    def _by_deltalake(self, name: str) -> int | None:
        table = delta_log.opened(self.location, self.version)
        return None if table is None else table.transaction_version(name)


def _in_checkpoint(files: FileSystem, version: int) -> dict[str, int]:
    import pyarrow.parquet as pq

    with files.open_input_file(f"{_FOLDER}/{version:020}.checkpoint.parquet") as stream:
        parquet = pq.ParquetFile(stream)
        if "txn" not in parquet.schema_arrow.names:
            return {}
        actions = parquet.read(columns=["txn.appId", "txn.version"])["txn"].drop_null().to_pylist()
    return {action["appId"]: action["version"] for action in actions}


def _in_commit(files: FileSystem, name: str) -> dict[str, int]:
    with files.open_input_stream(f"{_FOLDER}/{name}") as stream:
        lines = stream.read().splitlines()
    actions = (json.loads(line).get("txn") for line in lines if _MARK in line)
    return {action["appId"]: action["version"] for action in actions if action}
