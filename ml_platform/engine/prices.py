"""Prices: what a profile says that machines and stored bytes cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_platform.errors import BindingError, nearest
from ml_platform.records.usage import Usage

_FIELDS = ("currency", "as_of", "per_instance_hour", "per_gib_month", "budget")
_LIMITS = ("per_run", "per_month")
_GIB = 2**30


@dataclass(frozen=True)
class Budget:
    """What may be spent, in the currency of the prices; None where nothing limits it."""

    per_run: float | None = None
    per_month: float | None = None


@dataclass(frozen=True)
class Prices:
    """A profile's table of prices. as_of: the day that they were looked up on.

    per_instance_hour: type of a machine → price of its hour. per_gib_month: of stored tables; None where nobody says.
    budget: of everything in an environment. model_budgets: name of a model → of what belongs to it there.
    """

    currency: str = ""
    as_of: str = ""
    per_instance_hour: Mapping[str, float] = field(default_factory=dict)
    per_gib_month: float | None = None
    budget: Budget = field(default_factory=Budget)
    model_budgets: Mapping[str, Budget] = field(default_factory=dict)

    def of_usage(self, usage: Usage) -> float | None:
        """What a job cost; None where its machine has no price.

        >>> hour = Prices("USD", "2026-11-01", {"ml.m5.large": 0.115})
        >>> hour.of_usage(Usage("fit-1", "ml.m5.large", 1800))
        0.0575
        """
        price = self.per_instance_hour.get(usage.instance)
        return None if price is None else round(price * usage.billable_seconds / 3600, 6)

    def of_bytes(self, size_bytes: int) -> float | None:
        """What so many bytes cost a month; None where they have no price."""
        return None if self.per_gib_month is None else round(self.per_gib_month * size_bytes / _GIB, 6)

    def budgets_of(self, model: str) -> dict[str, Budget]:
        """Where it stands below `prices` → each budget that something has to keep that belongs to a model, or to none.

        >>> Prices(budget=Budget(per_run=5), model_budgets={"late": Budget(per_month=50)}).budgets_of("late").keys()
        dict_keys(['budget', 'budget.models.late'])
        """
        every = {"budget": self.budget, f"budget.models.{model}": self.model_budgets.get(model, Budget())}
        return {name: budget for name, budget in every.items() if budget != Budget()}


def prices(written: Mapping[str, Any], at: str) -> Prices:
    """The table that stands in a profile under `prices`. Raises BindingError for what is none.

    at: the profile's file, for errors.
    """
    for name in written:
        if name not in _FIELDS:
            raise BindingError(f"{at} has prices.{name}, but prices have no such field", allowed=nearest(name, _FIELDS))
    hours = _map(written, "per_instance_hour", at)
    whole = _map(written, "budget", at)
    models = _map({"budget.models": whole.pop("models", None)}, "budget.models", at)
    month = written.get("per_gib_month")
    return Prices(
        str(written.get("currency", "")),
        str(written.get("as_of", "")),
        {kind: _price(value, f"per_instance_hour.{kind}", at) for kind, value in hours.items()},
        None if month is None else _price(month, "per_gib_month", at),
        _budget(whole, "budget", at),
        {name: _budget(limits, f"budget.models.{name}", at) for name, limits in models.items()},
    )


def _budget(written: Any, name: str, at: str) -> Budget:
    limits = _map({name: written}, name, at)
    for limit in limits:
        if limit not in _LIMITS:
            raise BindingError(
                f"{at} has prices.{name}.{limit}, but a budget has no such limit", allowed=nearest(limit, _LIMITS)
            )
    return Budget(**{limit: _price(value, f"{name}.{limit}", at) for limit, value in limits.items()})


def _map(written: Mapping[str, Any], name: str, at: str) -> dict[str, Any]:
    found = {} if written.get(name) is None else written[name]
    if not isinstance(found, Mapping):
        raise BindingError(f"{at} has prices.{name} {found!r}, but that is a map of names to numbers")
    return {str(key): value for key, value in found.items()}


def _price(value: Any, name: str, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise BindingError(f"{at} has prices.{name} {value!r}, but a price is a number, and not below 0")
    return float(value)
