"""Taking: another environment's champion as the candidate here, byte for byte, instead of a fit.

What MLflow and Databricks call to deploy models, where a fit in each environment is to deploy code.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml_platform.engine import delta
from ml_platform.engine.champion import CHAMPION
from ml_platform.engine.examination import EVIDENCE, EXAMINED_ON
from ml_platform.engine.fitting import CHALLENGER, Fitted, fitted, registered_name
from ml_platform.errors import BindingError, NotFoundError, ServiceError
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableVersion
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

# The tag of a version that was not fitted here: where it comes from, and what its gate found there.
TAKEN = "taken"


@dataclass(frozen=True)
class Taking:
    """What is taken, and from where.

    model, training_set: asset keys. environment: whose champion it is. here: the environment that takes it.
    """

    model: str
    training_set: str
    environment: str
    here: str


def take(
    taking: Taking, there: ModelRegistry, lakehouse: Lakehouse, registry: ModelRegistry, say: Callable[[str], None]
) -> Fitted:
    """The challenger here is the champion there; one that is here already is not registered again.

    It is examined on this environment's own training set, as that stands when it is taken; while it is not champion,
    on the latest. there: the registry of the other environment. lakehouse, registry: of this one.
    Raises NotFoundError where no champion stands there, or no training set to examine it on here; BindingError where
    both registries are one; ServiceError where its bytes are not those that were registered there.
    """
    started = time.monotonic()
    name = registered_name(taking.model)
    source = _champion(taking, there, registry)
    pin = _own_rows(taking, source, lakehouse)
    stands = next((it for it in registry.versions(name) if it.digest == source.digest), None)
    with TemporaryDirectory() as folder:
        package = there.fetch(name, source.number, Path(folder) / "there")
        version = stands or registry.register(name, package, _tags(taking, source, pin))
        if version.digest != source.digest:
            raise ServiceError(
                f"version {version.number} of {name} has digest {version.digest[:12]}, but version {source.number} of "
                f"{taking.environment} has {source.digest[:12]}",
                remedy="Its files were altered on the way: take it again",
            )
        if stands and CHAMPION not in stands.aliases:
            registry.record(name, stands.number, {EXAMINED_ON: json.dumps(asdict(pin))})
        if CHALLENGER not in version.aliases:
            registry.move_alias(name, CHALLENGER, version.number)
        say(f"version {version.number} is version {source.number} of {taking.environment}, digest {source.digest}")
        # Read from where it stands now, so that its bytes are verified on this side too.
        own = registry.fetch(name, version.number, Path(folder) / "here")
        return fitted(own, version, pin, refitted=stands is None, started=started)


def _champion(taking: Taking, there: ModelRegistry, registry: ModelRegistry) -> ModelVersion:
    name = registered_name(taking.model)
    source = there.version(name, CHAMPION)
    if source is None:
        raise NotFoundError(
            f"{taking.model} has no champion in {taking.environment}, but {taking.here} takes it from there",
            remedy=f"Promote one there first: materialize {taking.model}__champion with "
            f"ML_PLATFORM_ENV={taking.environment}",
        )
    if registry.version(name, str(source.number)) == source:
        raise BindingError(
            f"the model registry of {taking.environment} is that of {taking.here}, but the one takes from the other",
            allowed="A profile keeps them apart by ${ML_PLATFORM_ENV}",
            remedy="Look for a variable ML_PLATFORM_MODEL_REGISTRY__… that binds both to one",
        )
    return source


def _own_rows(taking: Taking, source: ModelVersion, lakehouse: Lakehouse) -> TableVersion:
    """The training set here, as it stands."""
    found = delta.snapshot(lakehouse.table(taking.training_set))
    if found is None:
        raise NotFoundError(
            f"{taking.training_set} is not there in {taking.here}, but version {source.number} of {taking.environment} "
            "is examined on the rows of the environment that it is to serve in",
            remedy=f"Materialize {taking.training_set}",
        )
    return TableVersion(taking.training_set, found.version, delta.fingerprint(found))


def _tags(taking: Taking, source: ModelVersion, pin: TableVersion) -> dict[str, str]:
    evidence: dict[str, Any] = json.loads(source.tags.get(EVIDENCE, "{}"))
    decision = evidence.get("decision", {})
    origin = {
        "environment": taking.environment,
        "number": source.number,
        "digest": source.digest,
        "training_set": json.loads(source.tags.get("training_set", "null")),
        "snapshot": evidence.get("snapshot"),
        "promoted": decision.get("promoted"),
        "reasons": decision.get("reasons", []),
        "taken": json.loads(source.tags.get(TAKEN, "null")),
    }
    return {
        "fingerprint": hashlib.sha256(f"taken\n{source.digest}".encode()).hexdigest()[:32],
        "asset": taking.model,
        TAKEN: json.dumps(origin),
        EXAMINED_ON: json.dumps(asdict(pin)),
    }
