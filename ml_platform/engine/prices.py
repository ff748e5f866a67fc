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
    """

    currency: str = ""
    as_of: str = ""
    per_instance_hour: Mapping[str, float] = field(default_factory=dict)
    per_gib_month: float | None = None
    budget: Budget = field(default_factory=Budget)

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


def prices(written: Mapping[str, Any], at: str) -> Prices:
    """The table that stands in a profile under `prices`. Raises BindingError for what is none.

    at: the profile's file, for errors.
    """
    for name in written:
        if name not in _FIELDS:
            raise BindingError(f"{at} has prices.{name}, but prices have no such field", allowed=nearest(name, _FIELDS))
    hours = {kind: _price(value, f"per_instance_hour.{kind}", at) for kind, value in _map(written, "per_instance_hour")}
    limits = {name: _price(value, f"budget.{name}", at) for name, value in _map(written, "budget")}
    for name in limits:
        if name not in _LIMITS:
            raise BindingError(
                f"{at} has prices.budget.{name}, but a budget has no such limit", allowed=nearest(name, _LIMITS)
            )
    month = written.get("per_gib_month")
    return Prices(
        str(written.get("currency", "")),
        str(written.get("as_of", "")),
        hours,
        None if month is None else _price(month, "per_gib_month", at),
        Budget(**limits),
    )


def _map(written: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    return [(str(key), value) for key, value in (written.get(name) or {}).items()]


def _price(value: Any, name: str, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise BindingError(f"{at} has prices.{name} {value!r}, but a price is a number, and not below 0")
    return float(value)
