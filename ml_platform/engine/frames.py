"""Frames: Arrow tables as pandas or Polars, back, and for a Python function that is written beside a declaration."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ml_platform.errors import DeclarationError, PlatformError, nearest

_FRAMES = "Polars, pandas and Arrow frames are"


def call(path: Path, name: str, frames: Mapping[str, pa.Table]) -> pa.Table:
    """What the function of that name makes of the frames, as an Arrow table.

    Raises DeclarationError where the file has no such function, or where its parameters are not the frames' names.
    """
    function = _function(path, name)
    parameters = inspect.signature(function).parameters
    if set(parameters) != set(frames):
        raise DeclarationError(
            f"{path.name}: {name}({', '.join(parameters)}) is declared with the inputs {', '.join(frames)}, "
            "but a parameter is named as the last part of its input"
        )
    made = function(**{key: _given(frames[key], str(p.annotation)) for key, p in parameters.items()})
    return _taken(made, path, name)


def arrow(frame: Any) -> pa.Table:
    """The frame's columns as an Arrow table; a pandas index is none of them. Raises PlatformError for what is none."""
    table = _arrow(frame)
    if table is None:
        raise PlatformError(f"a {type(frame).__name__} is given, but that is no frame", allowed=_FRAMES)
    return table


def like(frame: Any, table: pa.Table) -> Any:
    """The table as the library of another frame has it; of pandas with that frame's index, for rows stay in order."""
    library = type(frame).__module__.partition(".")[0]
    if library == "polars":
        import polars as pl

        return pl.from_arrow(table)
    return table.to_pandas().set_axis(frame.index) if library == "pandas" else table


def _function(path: Path, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(f"_declared_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{path} is declared, but it is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if function is None:
        raise DeclarationError(
            f"{path.name} has no function {name}, but that is what makes its table",
            allowed=nearest(name, (key for key, value in vars(module).items() if inspect.isfunction(value))),
        )
    return function  # type: ignore[no-any-return]


def _given(table: pa.Table, annotation: str) -> Any:
    if "pl." in annotation or "polars" in annotation:
        import polars as pl

        return pl.from_arrow(table)
    if "pd." in annotation or "pandas" in annotation:
        return table.to_pandas()
    return table


def _taken(made: Any, path: Path, name: str) -> pa.Table:
    table = _arrow(made)
    if table is None:
        raise DeclarationError(
            f"{path.name}: {name} gave a {type(made).__name__}, but a table is made from a frame", allowed=_FRAMES
        )
    return table


def _arrow(frame: Any) -> pa.Table | None:
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):
        return frame.to_arrow()
    if hasattr(frame, "__dataframe__") or hasattr(frame, "iloc"):
        return pa.Table.from_pandas(frame, preserve_index=False)
    return None
