"""The page of everything that is declared: a change of any asset shows in its diff.

`make snapshot` renews it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg

import assets
from ml_platform.binding import ROLES, Binding
from ml_platform.definitions import build_definitions

PAGE = Path(__file__).parent / "declarations.txt"


def page() -> str:
    """Every asset, job, schedule and sensor, one paragraph each, bound to services that are never built."""
    definitions = build_definitions(assets, {role: Binding(role, "embedded", {}) for role in ROLES})
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key.path)
    graph = definitions.resolve_asset_graph()
    checks = {key: graph.get(key).description or "" for key in graph.asset_check_keys}
    paragraphs = ["\n".join(_asset(spec, _of(spec, checks))) for spec in specs]
    repository = definitions.get_repository_def()
    moved = [
        *(f"job {job.name}" for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *(f"schedule {schedule.name}: {schedule.cron_schedule}" for schedule in repository.schedule_defs),
        *(f"sensor {sensor.name}" for sensor in repository.sensor_defs),
    ]
    return "\n\n".join([*paragraphs, "\n".join(sorted(moved))]) + "\n"


def _of(spec: dg.AssetSpec, checks: Mapping[dg.AssetCheckKey, str]) -> dict[str, str]:
    return {key.name: said for key, said in checks.items() if key.asset_key == spec.key}


def _asset(spec: dg.AssetSpec, checks: Mapping[str, str]) -> Iterator[str]:
    yield spec.key.to_user_string()
    yield f"  {spec.description}"
    yield f"  group {spec.group_name}, kinds {', '.join(sorted(spec.kinds))}, owners {', '.join(spec.owners)}"
    for dep in sorted(spec.deps, key=lambda dep: dep.asset_key.path):
        mapping = dep.partition_mapping
        window = f" ({mapping.start_offset:+d} to {mapping.end_offset:+d})" if mapping else ""  # type: ignore[attr-defined]
        yield f"  reads {dep.asset_key.to_user_string()}{window}"
    if spec.partitions_def:
        keys = spec.partitions_def.get_partition_keys()
        yield f"  partitions {keys[0]} to {keys[-1]}"
    if spec.automation_condition:
        yield f"  automation {spec.automation_condition.get_label()}"
    for check, said in sorted(checks.items()):
        yield f"  check {check}: {said}"


def test_what_is_declared_is_what_was_reviewed() -> None:
    assert page() == PAGE.read_text(), "what is declared has changed: run `make snapshot` and read its diff"


if __name__ == "__main__":
    PAGE.write_text(page())
