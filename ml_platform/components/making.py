"""How a declared table is made: the file beside its `defs.yaml`, what that file reads, and which partitions of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from pydantic import Field

from ml_platform.components.asset import asset_key, digest, key_of, place
from ml_platform.components.columns import columns_of, require_columns, sql_files
from ml_platform.components.made_columns import Made, typed
from ml_platform.engine.recipe import Recipe
from ml_platform.engine.sql import read, relation
from ml_platform.errors import DeclarationError, nearest

Declared = TypeVar("Declared", bound=dg.Component)

if TYPE_CHECKING:
    import pyarrow as pa

    from ml_platform.engine.plan import Shape


class PartitionWindow(dg.Resolvable, dg.Model):
    """How many partitions around its own a partition is made from."""

    before: int = Field(default=0, ge=0, description="Partitions before its own that it reads.")
    after: int = Field(default=0, ge=0, description="Partitions after its own that it reads.")


def recipe_beside(
    context: dg.ComponentLoadContext,
    shape: Shape,
    window: PartitionWindow,
    inputs: Sequence[str],
    declared: object,
    columns: Made | None = None,
    compiled: Callable[[str], str] = str,
) -> Recipe:
    """The recipe in `<folder>.sql`, one query, or `<folder>.py`, one function named as the folder.

    inputs: what a function reads; a query says by itself what it reads.
    declared: everything else that can change the rows; part of the code's digest.
    columns: those that a function declares; a query says by itself which it makes.
    compiled: what the query in the file is made into.
    Raises DeclarationError, naming the file, where there is not exactly one of the two, and where it reads a table or a
    column, or the declaration names a column, that is not there.
    """
    own, folder = key_of(context), context.path
    sql, python = folder / f"{folder.name}.sql", folder / f"{folder.name}.py"
    by_query = sql.exists()
    _require_one(context, sql, python, by_query=by_query)
    _require_inputs(context, sql, inputs, by_query=by_query)
    if by_query and columns:
        raise DeclarationError(
            f"{place(context)}: columns are declared, but {sql.name} says by itself which it makes",
            remedy="Remove columns",
        )
    text = read(sql) if by_query else python.read_text()
    at = f"{context.defs_module_path.name}/{own}/{sql.name}"
    reads = sql_files(context).tables_read(text, at) if by_query else tuple(inputs)
    for key in reads:
        line = f"{at}:{_line(text, relation(key))}" if by_query else place(context)
        if key == own:
            raise DeclarationError(f"{line}: it reads {key}, but a table is not made from itself")
        require_declared(context, key, line)
    if by_query and shape.partition and not (window.before or window.after):
        _require_apart(context, text, shape.partition, at)
    found = columns_of(context, own)
    require_columns(found, shape.needed, place(context))
    return Recipe(
        key=own,
        inputs=reads,
        shape=shape,
        code=digest(compiled(text) if by_query else text, declared),
        query=compiled(text) if by_query else None,
        transform=None if by_query else typed(function_in(python, folder.name), columns or {}, own),
        reads=(window.before, window.after),
        lineage=found.lineage,
    )


def _require_apart(context: dg.ComponentLoadContext, text: str, column: str, at: str) -> None:
    """Returns where a query says the same of a partition whichever are made with it; else raises DeclarationError."""
    for line, part, keys in sql_files(context).crossings(text, column, at):
        if any(is_partitioned(context, key) for key in keys):
            raise DeclarationError(
                f"{at}:{line}: {part} looks over rows of several partitions, but each is made from its own",
                allowed=f"{column} stands in PARTITION BY, GROUP BY, DISTINCT ON or WHERE, and keeps them apart",
                remedy="Add it; or say by reads_partitions how far the query looks; or leave out partitioned",
            )


def dependencies(
    context: dg.ComponentLoadContext, inputs: Sequence[str], window: PartitionWindow, *, partitioned: bool
) -> list[str | dg.AssetDep]:
    """The inputs as dependencies; a partition depends on the partitions around it that it reads."""
    mapping = dg.TimeWindowPartitionMapping(
        start_offset=-window.before, end_offset=window.after, allow_nonexistent_upstream_partitions=True
    )
    windowed = partitioned and (window.before or window.after)
    return [
        dg.AssetDep(asset_key(key), partition_mapping=mapping) if windowed and is_partitioned(context, key) else key
        for key in inputs
    ]


def declared(context: dg.ComponentLoadContext, key: str, kind: type[Declared], by: str) -> Declared:
    """The component of that kind that declares an asset key.

    by: asset key of the declaration that names it.
    Raises DeclarationError, naming the nearest key, where none does, and where it is of another kind.
    """
    at = f"{context.defs_module_path.name}/{by}/defs.yaml"
    require_declared(context, key, at)
    component: Any = context.load_component(key)
    if not isinstance(component, kind):
        raise DeclarationError(
            f"{at}: {key} is a {type(component).__name__}, but what is needed there is a {kind.__name__}"
        )
    return component


def require_declared(context: dg.ComponentLoadContext, key: str, at: str) -> None:
    """Returns where something declares the asset key; else raises DeclarationError, naming the nearest.

    at: the file, and the line where there is one, that names it.
    """
    if (context.defs_module_path / key / "defs.yaml").exists():
        return
    known = (path.parent for path in context.defs_module_path.glob("*/*/defs.yaml"))
    raise DeclarationError(
        f"{at}: it reads {key!r}, but nothing of that name is declared",
        allowed=nearest(key, (path.relative_to(context.defs_module_path).as_posix() for path in known)),
    )


def is_partitioned(context: dg.ComponentLoadContext, key: str) -> bool:
    """Whether the table of an asset key is divided by the domain's partitions."""
    component: Any = context.load_component(key)
    return bool(getattr(component, "partitioned", False) or getattr(component, "partition_of", None))


def function_in(path: Path, name: str) -> Callable[[Mapping[str, pa.Table]], pa.Table]:
    """The function of that name in a file that is imported when it is first called, from Arrow tables to one.

    Its parameters are named as the inputs' last part; its annotations say which frames it takes, `pl.DataFrame`,
    `pd.DataFrame` or `pa.Table`.
    """

    def transform(frames: Mapping[str, pa.Table]) -> Any:
        from ml_platform.engine.frames import call

        return call(path, name, frames)

    return transform


def _require_one(context: dg.ComponentLoadContext, sql: Path, python: Path, *, by_query: bool) -> None:
    if by_query == python.exists():
        found = f"both {sql.name} and {python.name}" if by_query else f"neither {sql.name} nor {python.name}"
        raise DeclarationError(
            f"{place(context)}: there is {found}, but a table is made by one of them",
            remedy="Keep the one that makes the table" if by_query else "Write the one that makes the table",
        )


def _require_inputs(context: dg.ComponentLoadContext, sql: Path, inputs: Sequence[str], *, by_query: bool) -> None:
    if by_query and inputs:
        raise DeclarationError(
            f"{place(context)}: inputs are declared, but {sql.name} says by itself what it reads",
            remedy="Remove inputs",
        )
    if not by_query and not inputs:
        raise DeclarationError(
            f"{place(context)}: inputs are not declared, but a Python function reads something",
            remedy="List the asset keys that it reads under inputs",
        )


def _line(text: str, name: str) -> int:
    """The first line of the text that holds the name, counted from 1; 1 where it is spelled otherwise."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if name in line), 1)
