"""A model that is written as Python: the two functions in the file beside its declaration, read and not run."""

from __future__ import annotations

import ast

import dagster as dg

from ml_platform.components.asset import place
from ml_platform.errors import DeclarationError

CONTRACT = "fit(train, validate, question) returns what predict(state, x) answers by"
_FUNCTIONS = {"fit": ("train", "validate", "question"), "predict": ("state", "x")}
_REPORT = "report"


def fault_in(text: str, context: dg.ComponentLoadContext) -> str:
    """What keeps the text of the file from being a model; empty where nothing does.

    Raises DeclarationError, by file and line, for a text that is no Python.
    """
    name = f"{context.path.name}.py"
    try:
        written = _functions(text)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        at = place(context).replace("defs.yaml", name)
        raise DeclarationError(f"{at}{line}: it is no Python ({error})", remedy="Mend it") from error
    for function, parameters in _FUNCTIONS.items():
        if function not in written:
            return f"{name} has no function {function}"
        if not _takes(written[function], len(parameters)):
            given = ast.unparse(written[function])
            return f"{name} has {function}({given}), which is called as {function}({', '.join(parameters)})"
    return ""


def reports(text: str) -> bool:
    """Whether the `fit` of a model's text says how it stands."""
    given = _functions(text)["fit"]
    return _REPORT in {it.arg for it in [*given.args, *given.kwonlyargs]}


def _functions(text: str) -> dict[str, ast.arguments]:
    return {node.name: node.args for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def _takes(given: ast.arguments, count: int) -> bool:
    """Whether a function can be called with so many values, and `report` by its name beside them."""
    taken = [it.arg for it in [*given.posonlyargs, *given.args] if it.arg != _REPORT]
    named = [it.arg for it, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    enough = given.vararg is not None or count <= len(taken)
    return enough and len(taken) - len(given.defaults) <= count and set(named) <= {_REPORT}
