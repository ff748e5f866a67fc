"""What an endpoint and its rollout show in the Dagster UI."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform import metadata

if TYPE_CHECKING:
    from ml_platform.engine.rolling import RolledOut
    from ml_platform.engine.rollout import Finding
    from ml_platform.records.endpoint import Revision
    from ml_platform.records.feature import PublishedView


def of_revision(
    before: Revision | None,
    revision: Revision,
    views: Mapping[str, PublishedView | None],
    example: Mapping[str, Any],
    seconds: float,
    *,
    open_to_all: bool,
) -> dict[str, Any]:
    """What an endpoint's materialization says: where it serves, what it looks up, and a command that asks it.

    open_to_all: whether whoever reaches its address may ask; else the command goes through its host.
    """
    same = before is not None and before.number == revision.number
    url = f"{revision.url}/v2/models/{revision.endpoint}/infer" if open_to_all else revision.url
    command = f"curl -s {url} -d" if open_to_all else f"ml-platform invoke {revision.endpoint}"
    return {
        metadata.OUTCOME: metadata.UNCHANGED if same else f"revision {revision.number} serves",
        metadata.SECONDS: round(seconds, 3),
        "revision": revision.number,
        "traffic": metadata.as_json(revision.split.shares),
        "looks_up": metadata.table(
            ("view", "version", "rows"),
            [
                {"view": name, "version": found.version, "rows": found.rows}
                for name, found in views.items()
                if found is not None
            ],
        ),
        "url": dg.MetadataValue.url(url),
        metadata.EXAMPLE: metadata.as_json(example),
        metadata.ASK: f"{command} {shlex.quote(json.dumps(example))}",
    }


def of_rollout(done: RolledOut, latest: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What an endpoint's materialization says of its rollout. latest: entries of its log, the newest first."""
    state, revision = done.state, done.revision
    number, version = revision.number if revision else 0, state.target.version
    on_the_way = {
        "loaded": f"version {version} is loaded",
        "shadow": f"version {version} answers copies",
        "step": f"version {version} has {state.share * 100:g} %",
        "rolled back": f"version {version} went back",
    }
    shown = ("at", "version", "stage", "share", "serves_since", "reasons")
    rows = [{name: str(row[name]) for name in shown} for row in latest]
    told = {"stage": state.stage, "rollout": metadata.table(shown, rows)}
    if state.stage == "served" or (done.before and done.before.number == number and not done.moved):
        return told
    return {metadata.OUTCOME: f"revision {number}: {on_the_way[state.stage]}", **told}


def of_findings(found: Sequence[Finding]) -> dict[str, Any]:
    """What the check of a rollout says: every guard that was looked at."""
    verdicts = {True: "kept", False: "broken", None: "waits"}
    rows = [{"guard": each.guard, "verdict": verdicts[each.passed], "said": each.said} for each in found]
    return {"guards": metadata.table(("guard", "verdict", "said"), rows)}
