"""What asks for a retrain and what forbids it: a monitor's findings, and the labels that no version learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ml_platform.engine import delta
from ml_platform.engine.sql import relation
from ml_platform.engine.standing import Standing, standing
from ml_platform.engine.watched import Watched, labels_of, schema
from ml_platform.records.model import ModelVersion
from ml_platform.records.monitor import WORDS, Finding
from ml_platform.records.retraining import Decision, Evidence, Policy
from ml_platform.roles.compute import Compute
from ml_platform.roles.lakehouse import Lakehouse

_ASKING, _BROKEN = ("drifted", "decayed"), ("broken", "skewed")


def said(policy: Policy, findings: Sequence[Finding]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A sentence for each family that asks for a retrain, and for each that says that the input is broken.

    Skew is of the latter: a model that is served what it never saw is not mended by learning.
    """
    families = standing(findings)
    asking = [_only(one, _ASKING) for family, one in families.items() if family in policy.when]
    broken = [_only(one, _BROKEN) for one in families.values()]
    return tuple(map(_sentence, filter(None, asking))), tuple(map(_sentence, filter(None, broken)))


def evidence(
    policy: Policy,
    findings: Sequence[Finding],
    so_far: Sequence[Decision],
    champion: int,
    newest: ModelVersion,
    watched: Watched,
    now: datetime,
    lakehouse: Lakehouse,
    compute: Compute,
    *,
    running: bool,
) -> Evidence:
    """What is known when it is decided; labels are counted only where something asks.

    champion: its version's number. newest: the last version that was fitted, refused or not.
    """
    asking, broken = said(policy, findings)
    known = Evidence(
        now=now,
        asking=asking,
        broken=broken,
        champion=champion,
        requested=tuple(one.at for one in so_far if one.outcome == "retrain"),
        latest=max((one.at for one in so_far), default=None),
        running=running,
    )
    if not asking or broken or watched.labels is None:
        return known
    return replace(known, new_labels=new_labels(newest, watched, now, lakehouse, compute))


def new_labels(newest: ModelVersion, watched: Watched, now: datetime, lakehouse: Lakehouse, compute: Compute) -> int:
    """The labelled events as known now, less the rows that the newest version learned from; 0 where that is less."""
    table = delta.existing(lakehouse.table(str(watched.labels)))
    of = {relation(str(watched.labels)): table}
    columns = schema(compute.fetch(f"SELECT * FROM {relation(str(watched.labels))} LIMIT 0", of))
    (row,) = compute.fetch(f"SELECT count(*) AS n FROM ({labels_of(watched, now, columns)}) AS known", of).to_pylist()
    return max(int(row["n"]) - _learned(newest, lakehouse), 0)


def _learned(version: ModelVersion, lakehouse: Lakehouse) -> int:
    if "training_set" not in version.tags:
        return 0
    pin = json.loads(version.tags["training_set"])
    found = delta.snapshot(lakehouse.table(pin["key"]), pin["version"])
    return found.rows if found else 0


def _only(of: Standing, states: Sequence[str]) -> Standing | None:
    kept = tuple(one for one in of.failing if one.state in states)
    return replace(of, failing=kept) if kept else None


def _sentence(of: Standing) -> str:
    word = WORDS[of.family]
    return f"{word}: {of.sentence[0].lower()}{of.sentence[1:]}"
