from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ml_platform.engine.prices import Budget, Prices, prices
from ml_platform.errors import BindingError
from ml_platform.records.usage import Usage

WRITTEN = {
    "currency": "USD",
    "as_of": "2026-11-01",
    "per_instance_hour": {"ml.m5.large": 0.12},
    "per_gib_month": 0.023,
    "budget": {"per_run": 2, "per_month": 50, "models": {"late": {"per_month": 9}}},
}


def test_a_table_of_prices_is_read_as_it_is_written() -> None:
    read = prices(WRITTEN, "aws.yaml")
    assert read == Prices(
        "USD", "2026-11-01", {"ml.m5.large": 0.12}, 0.023, Budget(2.0, 50.0), {"late": Budget(per_month=9.0)}
    )
    # half an hour at 0.12 an hour, and 10 GiB at 0.023 a GiB
    assert read.of_usage(Usage("fit-1", "ml.m5.large", 1800)) == 0.06
    assert read.of_bytes(10 * 2**30) == 0.23


def test_what_nobody_priced_costs_no_number_and_not_0() -> None:
    nothing = prices({}, "local.yaml")
    assert nothing.of_usage(Usage("fit-1", "ml.m5.large", 1800)) is None
    assert nothing.of_bytes(2**30) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"per_hour": {}}, r"aws\.yaml has prices\.per_hour, but prices have no such field.*per_instance_hour"),
        ({"per_instance_hour": {"a": "0,1"}}, r"prices\.per_instance_hour\.a '0,1', but a price is a number"),
        ({"per_gib_month": -1}, r"prices\.per_gib_month -1, but a price is a number, and not below 0"),
        ({"per_gib_month": float("nan")}, r"but a price is a number"),
        ({"budget": {"per_day": 1}}, r"prices\.budget\.per_day, but a budget has no such limit"),
        (
            {"budget": {"models": {"late": {"per_day": 1}}}},
            r"prices\.budget\.models\.late\.per_day, but a budget has no",
        ),
        ({"budget": {"models": {"late": 5}}}, r"prices\.budget\.models\.late 5, but that is a map of names to numbers"),
        ({"budget": []}, r"prices\.budget \[\], but that is a map"),
        ({"budget": 5}, r"prices\.budget 5, but that is a map"),
    ],
)
def test_what_is_no_price_is_refused_by_its_name(written: dict[str, Any], said: str) -> None:
    with pytest.raises(BindingError, match=said):
        prices(written, "aws.yaml")


def test_the_prices_that_the_readme_shows_are_some() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    shown = yaml.safe_load(readme.split("```yaml\nprices:")[1].split("```")[0].join(["prices:", ""]))["prices"]
    read = prices(shown, "README.md")
    assert read.budget == Budget(5.0, 200.0)
    assert read.model_budgets == {"arrival_delay": Budget(per_month=50.0)}
