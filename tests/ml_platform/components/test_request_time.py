from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml_platform.engine import request_time
from ml_platform.errors import DeclarationError
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES, Made

FUNCTION = "features/order_moment_v1/order_moment_v1.py"


def test_features_stand_in_the_graph_and_say_what_computes_them(made: Made) -> None:
    node = made.project.node("features/order_moment_v1")
    assert node.kinds == {"python", "features"}
    assert node.parent_keys == set()
    said = made.first.said["features/order_moment_v1"]
    assert said["takes"] == "event_time: datetime, amount: float, recent_amount: float | None"
    assert "amount - recent_amount" in said["function"]
    assert (said["outcome"], made.again.said["features/order_moment_v1"]["outcome"]) == ("can be computed", "unchanged")


def test_training_batch_and_online_compute_the_same(made: Made) -> None:
    # given the training set's rows of April, by hand: the third order of a day is at 22:00
    rows = {row["order_id"]: row for row in made.project.rows("training_sets/returns")}
    order = rows["2024-04-050"]
    assert order["hour"] == 22.0
    assert order["above_recent"] == pytest.approx(order["amount"] - order["recent_amount"], abs=0)
    assert rows["2024-01-000"]["above_recent"] is None
    names = ["amount", "store", "recent_amount", "hour", "above_recent"]
    # then the batch that was scored has the very same
    scored = {row["order_id"]: row for row in made.project.rows("predictions/returns")}
    assert len(scored) == 60
    assert all(
        {name: row[name] for name in names} == {name: rows[key][name] for name in names} for key, row in scored.items()
    )
    # and so has a request, which is answered alike
    answer, seen = asked(made.project, "2024-04-050", order["event_time"].isoformat())
    assert seen == {name: order[name] for name in names}
    assert answer == pytest.approx(scored["2024-04-050"]["prediction"], abs=1e-12)
    # and asked again offline, nothing differs
    (check,) = made.project.run('key:"endpoints/returns__log"').checks["endpoints/returns__log"]
    assert (check.check_name, check.passed, check.metadata["requests"].value > 0) == ("skew", True, True)


def test_the_champion_carries_the_function_that_it_learned_from(made: Made, tmp_path: Path) -> None:
    registry = made.project.service("model_registry")
    (version,) = registry.versions("returns")
    (carried,) = request_time.load(registry.fetch("returns", version.number, tmp_path / "package"))
    assert carried.source == FILES[FUNCTION]


def test_a_column_comes_from_what_it_is_computed_of(made: Made) -> None:
    lineage = made.first.said["training_sets/returns"]["dagster/column_lineage"]
    found = {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage.deps_by_column["above_recent"]}
    assert found == {
        ("silver/orders", "event_time"),
        ("features/order_v1", "amount"),
        ("features/store_recent_v1", "recent_amount"),
    }


def test_a_request_carries_what_only_it_can_say(tmp_path: Path) -> None:
    """A column of the events that a request brings along, and one that is kept for slices only."""
    project = shops.project(tmp_path)
    project.change(FUNCTION, "amount: float,", "amount: float, store_said: str,")
    project.change(FUNCTION, '"hour": event_time.hour', '"hour": event_time.hour if store_said == "NORTH" else None')
    project.change("silver/orders/orders.sql", "SELECT", "SELECT upper(store) AS store_said, amount > 20 AS dear,")
    project.change(
        "training_sets/returns/defs.yaml", "label: returned", "label: returned\n  request: [store_said]\n  keep: [dear]"
    )
    with pytest.raises(DeclarationError, match=r"endpoints/returns/defs.yaml: order_moment_v1 takes store_said, but"):
        _ = project.definitions
    project.change("endpoints/returns/defs.yaml", "order_id: string", "order_id: string, store_said: string")
    project.change("models/returns/defs.yaml", "estimator: linear", "estimator: linear\n  slices: [dear]")
    ran = project.run('+key:"models/returns"', shops.EVERYTHING)
    assert ran.success, ran.failures
    rows = {row["order_id"]: row for row in project.rows("training_sets/returns")}
    assert [rows[f"2024-01-00{number}"]["hour"] for number in (3, 4)] == [6.0, None]
    (version,) = project.service("model_registry").versions("returns")
    package = project.service("model_registry").fetch("returns", version.number, tmp_path / "package")
    slices = [it for it in json.loads((package / "slices.json").read_text()) if it["column"] == "dear"]
    # in the test month, amounts of 37 n modulo 100 above 20, as SQL counts them
    dear = sum(number * 37 % 100 > 20 for number in range(60))
    assert {it["value"]: it["rows"] for it in slices} == {"True": dear, "False": 60 - dear}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def order_moment_v1", "def other", r"order_moment_v1\.py: it has no function order_moment_v1, but"),
        (
            "amount: float,",
            "amount,",
            r"order_moment_v1\.py:6: amount is annotated with nothing, but .*one of datetime",
        ),
        ("amount: float,", "amount: list[float],", "amount is annotated with list.float., but"),
        ("float | None\n", "float | None = None\n", "has parameters with a default, or of no fixed number"),
        ("event_time: datetime", "event_time: str", "event_time is a str, but event_time, which is always there"),
        ("amount: float,", "amount: datetime,", "amount is a datetime, but event_time, which is always there"),
        ("amount: float,", "amount: float,,", r"order_moment_v1\.py:7: it is no Python"),
        (
            "from datetime import",
            "import polars\nfrom datetime import",
            "py:3: it imports polars, but it runs wherever",
        ),
        ("amount: float,", "returned: float,", "order_moment_v1 takes returned, but neither the request nor a view"),
        ("amount: float,", "known_at: float,", "order_moment_v1 takes known_at, but neither the request nor a view"),
        ("amount: float,", "store: float,", "takes store as float, but it is a category. It can be taken as str"),
    ],
)
def test_a_function_that_cannot_be_called_alike_everywhere_is_refused(
    shop: Project, old: str, new: str, message: str
) -> None:
    shop.change(FUNCTION, old, new)
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (
            "training_sets/returns/defs.yaml",
            "features/order_v1, features/store_recent_v1, features/order_moment_v1",
            "features/order_v1, features/order_moment_v1, features/store_recent_v1",
            "features has features/store_recent_v1 behind features/order_moment_v1, but",
        ),
        (
            "features/order_moment_v1/defs.yaml",
            "hour:",
            "amount:",
            "amount comes from order_moment_v1 and from what is",
        ),
        ("features/order_moment_v1/defs.yaml", "features: {", "functions: {", "features is missing"),
        ("features/order_moment_v1/defs.yaml", "hour: number", "hour: text", "hour"),
    ],
)
def test_a_wrong_declaration_is_refused(shop: Project, path: str, old: str, new: str, message: str) -> None:
    shop.change(path, old, new)
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions


def test_a_function_has_its_file_and_a_version_in_its_name(shop: Project) -> None:
    shop.write("features/moment/defs.yaml", FILES["features/order_moment_v1/defs.yaml"])
    with pytest.raises(DeclarationError, match=r"features/moment/defs.yaml: the folder is 'moment', but features have"):
        _ = shop.definitions
    (shop.root / "features/moment/defs.yaml").unlink()
    shop.write("features/moment_v1/defs.yaml", FILES["features/order_moment_v1/defs.yaml"])
    with pytest.raises(DeclarationError, match=r"features/moment_v1/moment_v1.py: there is no such file, but"):
        _ = shop.definitions


def test_what_it_raises_on_one_row_fails_the_training_set_by_that_row(tables: Project) -> None:
    tables.change(FUNCTION, "amount - recent_amount", "amount / (recent_amount - 5.5)")
    ran = tables.run('key:"training_sets/returns"')
    # the third order of the first store, whose two before it had 0 and 11
    failure = ran.failures["training_sets/returns"]
    assert (
        "order_moment_v1 ends with ZeroDivisionError (float division by zero) at row 6, of 2024-01-03T06:00" in failure
    )


def asked(project: Project, order: str, moment: str) -> tuple[float, dict[str, Any]]:
    """What the endpoint answers, and what its model saw."""
    url = project.service("endpoint_host").describe("returns").url
    tensors = [("order_id", order), ("event_time", moment)]
    body = {
        "inputs": [{"name": name, "shape": [1], "datatype": "BYTES", "data": [value]} for name, value in tensors],
        "id": "moment",
    }
    answer = httpx.post(f"{url}/v2/models/returns/infer", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    records, _ = project.service("prediction_log").since("returns", 0, 1000)
    return answer.json()["outputs"][0]["data"][0], dict(json.loads(json.dumps(records[-1].features)))
