from __future__ import annotations

from types import SimpleNamespace

from ml_platform.declared_specs import hanging, models
from ml_platform.taint_checks import evaluations
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from ml_platform.testing.project import Project


def test_every_model_champion_and_endpoint_has_the_check(shop: Project) -> None:
    checks = shop.definitions.resolve_asset_graph().asset_check_keys
    named = {key.asset_key.to_user_string() for key in checks if key.name == "untainted"}
    assert named == {"models/returns", "models/returns__champion", "endpoints/returns"}
    assert not [key for key in checks if key.name == "corrections"]


def test_a_source_that_takes_corrections_has_a_check_of_them(shop: Project) -> None:
    shop.change("bronze/stores/defs.yaml", "files: stores", "on_change: ingest\n  files: stores")
    checks = shop.definitions.resolve_asset_graph().asset_check_keys
    assert {key.asset_key.to_user_string() for key in checks if key.name == "corrections"} == {"bronze/stores"}


def test_where_nothing_is_fitted_or_serves_nothing_is_tainted(shop: Project) -> None:
    specs = list(shop.definitions.resolve_all_asset_specs())
    host = SimpleNamespace(describe=lambda _: None)
    found = evaluations(hanging(specs), models(specs), shop.lakehouse, MemoryModelRegistry(), host)
    assert [(it.passed, it.metadata["versions"].value) for it in found] == [(True, "none")] * 3
