"""A written function: one that travels as the text of its module, and is made from that text where it is called."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ml_platform.errors import DeclarationError


def function_in(source: str, name: str, file: str, why: str) -> Callable[..., Any]:
    """The function of that name in the text.

    file: what the text is called, and why the function has to be in it, for errors.
    Raises DeclarationError where there is none, or where the text cannot be executed.
    """
    module = types.ModuleType(file.removesuffix(".py"))
    try:
        # The text is the declaration's own, as reviewed and deployed as the rest of its code.
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102
    except Exception as error:
        raise DeclarationError(f"{file} ends with {type(error).__name__} ({error}), but {why}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise DeclarationError(f"{file} has no function {name}, but {why}")
    return function  # type: ignore[no-any-return]
