from __future__ import annotations

import pytest

from ml_platform.components.python_model import reports
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project

PREDICT = "def predict(state, x):\n    return x[:, 0]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def fit(train, validate, question:\n",
            r"models/returns/returns\.py:1: it is no Python \(.* never closed",
        ),
        ("a\0b", r"models/returns/returns\.py.*: it is no Python"),
        (PREDICT, r"defs\.yaml:7: estimator is python, but returns\.py has no function fit"),
        (
            f"def fit(train):\n    return {{}}\n{PREDICT}",
            r"returns\.py has fit\(train\), which is called as fit\(train",
        ),
        (
            "def fit(train, validate, question, *, report):\n    return {}\n\n\ndef predict(x):\n    return x\n",
            r"returns\.py has predict\(x\), which is called as predict\(state, x\)\. fit\(train, ",
        ),
    ],
)
def test_what_cannot_be_called_is_refused_by_file_and_line(shop: Project, text: str, message: str) -> None:
    shop.write("models/returns/returns.py", text)
    shop.change("models/returns/defs.yaml", "estimator: linear", "estimator: python")
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions


@pytest.mark.parametrize("more", ["", ", report", ", *, report", ", share=0.5", ", *rest"])
def test_fit_may_take_more_than_it_is_given(shop: Project, more: str) -> None:
    text = f"def fit(train, validate, question{more}):\n    return {{}}\n{PREDICT}"
    shop.write("models/returns/returns.py", text)
    shop.change("models/returns/defs.yaml", "estimator: linear", "estimator: python")
    assert shop.definitions
    assert reports(text) == ("report" in more)
