from __future__ import annotations

from ml_platform.testing.project import Project


def description(project: Project, key: str) -> str | None:
    specs = {spec.key.to_user_string(): spec for spec in project.definitions.resolve_all_asset_specs()}
    return specs[key].description


def test_a_text_stays_as_it_is_written(shop: Project) -> None:
    shop.change("gold/totals/defs.yaml", "description: ", "description: \"('2013')\" #")
    assert description(shop, "gold/totals") == "('2013')"
