from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from ml_platform.engine import redaction as module
from ml_platform.engine.redaction import VARIABLE, Redaction, redaction
from ml_platform.errors import BindingError
from ml_platform.testing.prediction_log import served

SECRET = "a secret of enough length"
HIDDEN = Redaction(frozenset({"flight_id", "wind", "carrier"}), SECRET.encode())


def test_worked_number_is_the_standards() -> None:
    assert doctest.testmod(module).failed == 0


def test_equal_values_are_equal_texts_and_only_they() -> None:
    assert HIDDEN.value("UA1") == HIDDEN.value("UA1") != HIDDEN.value("UA2")
    assert HIDDEN.value(5) == HIDDEN.value(5.0) == HIDDEN.value("5") != HIDDEN.value(5.5)
    assert HIDDEN.value(None) is None
    assert replace(HIDDEN, key=b"another secret").value("UA1") != HIDDEN.value("UA1")


def test_record_keeps_what_is_not_hidden() -> None:
    before = replace(served(1), error="")
    after = HIDDEN.record(before)
    assert after.inputs == {"flight_id": HIDDEN.value("UA1545")}
    # the texts that a model saw can still be joined; a number in their place would be none
    assert after.features == {"wind": None, "carrier": HIDDEN.value("UA"), "gust": None}
    assert replace(after, inputs=before.inputs, features=before.features) == before


def test_error_is_named_without_its_words() -> None:
    failed = replace(served(1), error="ValueError: could not convert string to float: 'UA1545'")
    assert HIDDEN.record(failed).error == "ValueError"


@pytest.mark.parametrize("secret", ["", "short"])
def test_secret_that_is_none_is_refused_by_its_name(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, secret)
    assert redaction([]) is None
    with pytest.raises(BindingError, match=rf"{VARIABLE} has {len(secret)} characters, but flight_id"):
        redaction(["flight_id"])


def test_secret_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert redaction(["flight_id", "wind", "carrier"]) == HIDDEN
