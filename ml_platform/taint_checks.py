"""The check `untainted`: whether a model version learned from what turned out to be wrong, and an endpoint serves it.

It stands on every model, its champion and every endpoint, is evaluated when they are made, and is reported without a
run as soon as something is tainted. On a model it comes before the gate and keeps what it finds with the candidate, for
the gate lets a champion that is tainted give way more easily to what is not. A check `corrections` on a source taints
what was made of a file before it was corrected.
"""

# Dagster reads the annotations of a check's function as they stand, so this module does not postpone them.
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform.declared_specs import CHAMPION, SOURCE, hanging, models
from ml_platform.roles.endpoint_host import EndpointHost
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

if TYPE_CHECKING:
    from ml_platform.engine.declared import Declared
    from ml_platform.engine.taints import Walked
    from ml_platform.records.taint import Reach

UNTAINTED = "untainted"
CORRECTIONS = "corrections"


def taint_checks(specs: Sequence[dg.AssetSpec]) -> dg.Definitions:
    """The checks of everything that is declared."""
    declared, named = hanging(specs), models(specs)
    keys = [*named, *(f"{key}{CHAMPION}" for key in named), *(f"endpoints/{name}" for name in declared.endpoints)]
    corrected = [spec for spec in specs if spec.metadata.get(SOURCE, {}).get("on_change") == "ingest"]
    checks = [_untainted(key, declared) for key in keys] + [_corrections(spec, declared, named) for spec in corrected]
    return dg.Definitions(asset_checks=checks)


def evaluations(
    declared: "Declared",
    named: Iterable[str],
    lakehouse: Lakehouse,
    registry: ModelRegistry,
    host: EndpointHost,
) -> list[dg.AssetCheckEvaluation]:
    """The check of every model, champion and endpoint, as it comes out now. named: asset keys of the models."""
    keys = [*named, *(f"{key}{CHAMPION}" for key in named), *(f"endpoints/{name}" for name in declared.endpoints)]
    reaches = _reaches(declared, lakehouse, registry, host)
    return [_evaluation(key, _of(key, declared, registry, host), reaches) for key in keys]


def report(instance: dg.DagsterInstance, found: Iterable[dg.AssetCheckEvaluation]) -> None:
    """The UI shows the checks as they came out, without a run."""
    for evaluation in found:
        instance.report_runless_asset_event(evaluation)


def walked(declared: "Declared", lakehouse: Lakehouse, registry: ModelRegistry, host: EndpointHost) -> "Walked":
    """What the walk from a taint goes over, as it stands now."""
    from ml_platform.engine.pins import pins
    from ml_platform.engine.taints import Walked
    from ml_platform.upkeep import logs_of, serving

    logs = logs_of(declared.tables, lakehouse)
    return Walked(logs, pins(registry, broken=True), serving(declared.endpoints, host), declared.makes)


def _untainted(key: str, declared: "Declared") -> dg.AssetChecksDefinition:
    # Blocking is only to come first: a warning stops nothing, and a gate may still find the candidate better.
    @dg.asset_check(
        asset=dg.AssetKey(key.split("/")),
        name=UNTAINTED,
        description="No version that it names learned from what turned out to be wrong.",
        blocking=_is_candidate(key),
    )
    def untainted(
        lakehouse: dg.ResourceParam[Lakehouse],
        model_registry: dg.ResourceParam[ModelRegistry],
        endpoint_host: dg.ResourceParam[EndpointHost],
    ) -> dg.AssetCheckResult:
        from ml_platform.engine.taints import keep

        reaches = _reaches(declared, lakehouse, model_registry, endpoint_host)
        versions = _of(key, declared, model_registry, endpoint_host)
        for version in versions:
            keep(*version, reaches.get(version, ()), model_registry)
        found = _evaluation(key, versions, reaches)
        return dg.AssetCheckResult(
            passed=found.passed, severity=found.severity, description=found.description, metadata=found.metadata
        )

    return untainted


def _corrections(spec: dg.AssetSpec, declared: "Declared", named: Sequence[str]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=spec.key,
        name=CORRECTIONS,
        description="No version that stands learned from a file as it was before it was corrected.",
    )
    def corrections(
        context: dg.AssetCheckExecutionContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        model_registry: dg.ResourceParam[ModelRegistry],
        endpoint_host: dg.ResourceParam[EndpointHost],
    ) -> dg.AssetCheckResult:
        from ml_platform.engine import corrections
        from ml_platform.engine.ingest import Source
        from ml_platform.engine.taints import mark

        def over() -> "Walked":
            return walked(declared, lakehouse, model_registry, endpoint_host)

        touched: set[str] = set()
        new = False
        for subject, why, seeds in corrections.corrected(Source(**spec.metadata[SOURCE]), lakehouse):
            done = mark(subject, why, seeds, over, model_registry, lakehouse)
            touched |= {f"models/{name} version {number}" for name, number in done.models}
            new = new or done.new
        if new:
            report(context.instance, evaluations(declared, named, lakehouse, model_registry, endpoint_host))
        told = f"Learned from a file before it was corrected: {', '.join(sorted(touched))}." if touched else "Kept."
        return dg.AssetCheckResult(passed=not touched, severity=dg.AssetCheckSeverity.WARN, description=told)

    return corrections


def _reaches(
    declared: "Declared", lakehouse: Lakehouse, registry: ModelRegistry, host: EndpointHost
) -> "dict[tuple[str, int], list[Reach]]":
    from ml_platform.engine.taints import reaching, taints

    return reaching(taints(lakehouse), lambda: walked(declared, lakehouse, registry, host), registry)


def _is_candidate(key: str) -> bool:
    return key.startswith("models/") and not key.endswith(CHAMPION)


def _of(key: str, declared: "Declared", registry: ModelRegistry, host: EndpointHost) -> list[tuple[str, int]]:
    """The model versions that an asset stands for: the candidate, the champion, or whatever serves."""
    from ml_platform.engine.fitting import CHALLENGER, registered_name

    if key in declared.models:
        name = registered_name(declared.models[key])
        revision = host.describe(registered_name(key))
        digests = set(revision.digests.values()) if revision else set()
        return [(name, version.number) for version in registry.versions(name) if version.digest in digests]
    name = registered_name(key.removesuffix(CHAMPION))
    found = registry.version(name, CHAMPION.strip("_") if key.endswith(CHAMPION) else CHALLENGER)
    return [(name, found.number)] if found else []


def _evaluation(
    key: str, versions: Sequence[tuple[str, int]], reaches: "dict[tuple[str, int], list[Reach]]"
) -> dg.AssetCheckEvaluation:
    told = [
        f"{name} version {number}: {reach.told}."
        for name, number in versions
        for reach in reaches.get((name, number), ())
    ]
    metadata: dict[str, Any] = {
        "versions": ", ".join(f"{name} version {number}" for name, number in versions) or "none"
    }
    if told:
        metadata["taints"] = dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in told))
        metadata["remedy"] = (
            "Mend what is wrong, and fit the model again: a version that has nothing of it clears this."
        )
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(key.split("/")),
        check_name=UNTAINTED,
        passed=not told,
        description=" ".join(told) or "Kept.",
        metadata=metadata,
        severity=dg.AssetCheckSeverity.WARN if _is_candidate(key) else dg.AssetCheckSeverity.ERROR,
    )
