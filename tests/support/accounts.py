"""Real accounts: which of them `pytest -m` names, and what the environment that pytest was started in says of one."""

from __future__ import annotations

import os
import re

import pytest

from ml_platform.testing.faults import Fault
from ml_platform.testing.stand_in import Cloud

# cloud → how the names of the variables begin that say where its account is, and who asks.
_VARIABLES = {
    "aws": ("AWS_", "ML_PLATFORM_AWS_", "ML_PLATFORM_IMAGE"),
    "gcp": ("GOOGLE_", "CLOUDSDK_", "ML_PLATFORM_GCP_", "ML_PLATFORM_IMAGE"),
    "databricks": ("DATABRICKS_", "ML_PLATFORM_DATABRICKS_", "ML_PLATFORM_IMAGE"),
}
# Taken before the tests' own fixtures take every setting away.
_STARTED_WITH = dict(os.environ)


def named(expression: str) -> list[str]:
    """The clouds whose accounts an expression of `pytest -m` asks for; one that only leaves them out names none."""
    return [cloud for cloud in _VARIABLES if re.search(rf"(?<!not )\b{cloud}_account\b", expression)]


def account(cloud: str) -> Cloud:
    """The account of whoever runs the tests; it has no fault on demand, so that none is ever left to come."""
    mine = {name: value for name, value in _STARTED_WITH.items() if name.startswith(_VARIABLES[cloud])}
    return Cloud(mine, _no_fault)


def places(cloud: str) -> list[object]:
    """Parameters of a fixture that is a cloud's stand-ins, and under `-m …_account` an account of it."""
    return ["stand-in", pytest.param("account", marks=getattr(pytest.mark, f"{cloud}_account"))]


def stand_ins_only(fixture: str) -> pytest.MarkDecorator:
    """Keeps a test that needs a fault, or another trick, away from accounts. fixture: the one that has `places`."""
    return pytest.mark.parametrize(fixture, ["stand-in"], indirect=True)


def _no_fault(fault: Fault, times: int) -> None:
    assert not times, f"an account is not {fault} on demand"
