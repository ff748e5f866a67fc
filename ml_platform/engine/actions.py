"""The actions of a commit to a Delta table, as deltalake takes them, and what goes with them."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_platform.engine.seals import SEAL, Doing, seal, told
from ml_platform.records.table import DataFile

if TYPE_CHECKING:
    from deltalake import CommitProperties, PostCommitHookProperties


@dataclass(frozen=True)
class Change:
    """What one commit does. coming, going: data files; transactions: name → number; evidence: for people.

    data_change: False where those that come hold the rows of those that go.
    """

    coming: Collection[DataFile]
    going: Collection[DataFile]
    transactions: Mapping[str, int]
    evidence: Mapping[str, Any]
    data_change: bool = True


def sealed(change: Change, columns: str = "") -> dict[str, str]:
    """The seal of a commit as its evidence. columns: the table's, as `seals.columns` has them, where it says them."""
    adds = {file.path: told(file.size_bytes, file.partition, file.statistics) for file in change.coming}
    return {SEAL: seal(Doing(adds, [file.path for file in change.going], change.transactions, columns))}


def properties(change: Change, sealed: Mapping[str, str]) -> CommitProperties:
    """What goes with the commit. sealed: its seal; none where deltalake itself decides what the commit holds."""
    from deltalake import CommitProperties, Transaction

    return CommitProperties(
        custom_metadata={name: json.dumps(value, default=str) for name, value in {**change.evidence, **sealed}.items()},
        max_commit_retries=0,
        app_transactions=[Transaction(app_id, number) for app_id, number in change.transactions.items()],
    )


def hooks() -> PostCommitHookProperties:
    """What deltalake does after a commit: checkpoints. It would also drop log entries, of versions that are pinned."""
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def adding(change: Change) -> list[Any]:
    """The files that come."""
    from deltalake.transaction import AddAction

    return [
        AddAction(
            file.path, file.size_bytes, dict(file.partition), _milliseconds(), change.data_change, file.statistics
        )
        for file in change.coming
    ]


def removing(change: Change) -> list[Any]:
    """The files that go."""
    from deltalake.transaction import RemoveAction

    return [
        RemoveAction(file.path, change.data_change, _milliseconds(), file.size_bytes, dict(file.partition))
        for file in change.going
    ]


def _milliseconds() -> int:
    return int(time.time() * 1000)
