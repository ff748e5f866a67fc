"""What became of a model version where it was rolled out, kept with the version itself.

A rollout does not move the alias, so that a champion may be one that an endpoint went back from: who looks at the
champion is told here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from ml_platform.engine.rollout import State
from ml_platform.records.model import ModelVersion
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that says where its rollouts ended.
TAG = "rollouts"


@dataclass(frozen=True)
class Ended:
    """How a rollout of a version ended. stage: served, or rolled back; at: UTC, ISO 8601; reasons: why it went back."""

    stage: str
    at: str
    reasons: tuple[str, ...] = ()


def ended(version: ModelVersion) -> dict[str, Ended]:
    """Endpoint → how the version's last rollout there ended."""
    told = json.loads(version.tags.get(TAG, "{}"))
    return {name: Ended(one["stage"], one["at"], tuple(one["reasons"])) for name, one in sorted(told.items())}


def tell(endpoint: str, state: State, at: datetime, model: str, registry: ModelRegistry) -> None:
    """The version says how its rollout ended, where it is over. model: as it is registered."""
    version = registry.version(model, str(state.target.version)) if state.settled else None
    if version is None:
        return
    known = ended(version)
    last = known.get(endpoint)
    if last and (last.stage, last.reasons) == (state.stage, state.reasons):
        return
    known[endpoint] = Ended(state.stage, at.isoformat(timespec="seconds"), state.reasons)
    told = {name: asdict(one) for name, one in known.items()}
    registry.record(model, version.number, {TAG: json.dumps(told, ensure_ascii=False)})


def went_back(version: ModelVersion) -> tuple[str, ...]:
    """A sentence for each endpoint that went back from the version, and serves another."""
    return tuple(
        f"{endpoint} went back from version {version.number}, at {one.at}: {' '.join(one.reasons)}"
        for endpoint, one in ended(version).items()
        if one.stage == "rolled back"
    )
