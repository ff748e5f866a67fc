from __future__ import annotations

from ml_platform.declared_specs import hanging, models
from ml_platform.testing.project import Project
from ml_platform.testing.shop import MONTHS


def test_what_hangs_together_is_taken_from_the_specs(shop: Project) -> None:
    specs = list(shop.definitions.resolve_all_asset_specs())
    found = hanging(specs)
    assert found.windows == {("features/store_recent_v1", "silver/orders"): (1, 0)}
    assert found.partitions == MONTHS
    assert {"silver/orders", "features/order_v1"} <= set(found.partitioned)
    assert {"predictions/returns", "gold/totals"}.isdisjoint(found.partitioned)
    assert found.models == {"endpoints/returns": "models/returns", "predictions/returns": "models/returns"}
    assert found.reads["predictions/returns"] == ("silver/orders", "features/order_v1", "features/store_recent_v1")
    assert "models/returns" not in found.tables
    assert models(specs) == ["models/returns"]
