from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from ml_platform.components.guarded import guarded
from ml_platform.errors import NotFoundError, PlatformError


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "canary-pass")


def test_an_error_that_holds_a_secret_is_told_without_it_and_drags_nothing_along() -> None:
    @guarded
    def asset() -> None:
        try:
            raise ValueError("canary-pass is wrong")
        except ValueError as error:
            raise NotFoundError("the shop at x://ann:canary-pass@host is not there") from error

    with pytest.raises(NotFoundError, match=r"the shop at x://\[hidden\]@host is not there") as told:
        asset()
    assert told.value.__cause__ is None
    assert told.value.__context__ is None


def test_an_error_of_somebody_else_keeps_its_kind_in_words() -> None:
    @guarded
    def asset() -> Iterator[int]:
        yield 1
        raise KeyError("canary-pass")

    made = asset()
    assert next(made) == 1
    with pytest.raises(PlatformError, match=r"KeyError: '\[hidden\]'"):
        next(made)


def test_an_error_without_a_secret_passes_as_it_is() -> None:
    error = KeyError("a")

    @guarded
    def asset() -> None:
        raise error

    with pytest.raises(KeyError) as told:
        asset()
    assert told.value is error


def test_a_guarded_function_is_asked_for_what_it_takes() -> None:
    def asset(lakehouse: str) -> str:
        return lakehouse

    assert list(inspect.signature(guarded(asset)).parameters) == ["lakehouse"]
    assert guarded(asset)(lakehouse="a") == "a"
