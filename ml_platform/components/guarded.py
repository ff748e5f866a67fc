"""A guarded asset: whatever its function raises is told without a secret, for dagster keeps and shows every error."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from ml_platform.errors import PlatformError
from ml_platform.secret_text import redacted


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose errors hold no secret; one that does not hold any passes as it is."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generated(*given: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from function(*given, **named)
                return
            except Exception as error:
                told = _told(error)
                if told is None:
                    raise
            raise told

        return generated

    @functools.wraps(function)
    def called(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except Exception as error:
            told = _told(error)
            if told is None:
                raise
        # Raised out here, it drags nothing along that was raised before it.
        raise told

    return called


def _told(error: Exception) -> PlatformError | None:
    """The error without a secret; None where it holds none, or is dagster's own, as what asks for a retry."""
    if type(error).__module__.startswith("dagster.") or not _holds_secret(error):
        return None
    if isinstance(error, PlatformError):
        return _again(type(error), redacted(str(error)))
    return PlatformError(redacted(f"{type(error).__name__}: {error}"))


def _again(kind: type[PlatformError], said: str) -> PlatformError:
    try:
        return kind(said)
    except TypeError:  # it takes more than a sentence
        return PlatformError(said)


def _holds_secret(error: BaseException) -> bool:
    following: BaseException | None = error
    while following is not None:
        texts = [str(following), *getattr(following, "__notes__", ())]
        if any(redacted(text) != text for text in texts):
            return True
        following = following.__cause__ or following.__context__
    return False
