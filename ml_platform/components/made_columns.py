"""The columns of a table that is made: those that its query gives, or those that its function is declared to give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ml_platform.components.columns import Derivation, in_query, require_columns
from ml_platform.components.source import ColumnType
from ml_platform.engine.history_plan import MADE
from ml_platform.engine.lineage import UNKNOWN, Columns
from ml_platform.engine.scope import Origin
from ml_platform.errors import AuditError, DeclarationError, nearest

if TYPE_CHECKING:
    import pyarrow as pa


class MadeColumn(dg.Resolvable, dg.Model):
    """A column that a function makes."""

    type: ColumnType = Field(description="The type of its values; times are UTC.")
    made_from: list[str] = Field(
        default=[], description="The columns that it is made from, for instance bronze.schedule.flight_date."
    )


Made = Mapping[str, MadeColumn]


def derivation(context: dg.ComponentLoadContext, key: str, inputs: Sequence[str], declared: Made) -> Derivation:
    """How the columns follow, of the query of an asset key or, without one, of its function.

    inputs, declared: what the function reads, and the columns that it declares; without these they are unknown.
    """
    if (found := in_query(context, key)) is not None:
        return found
    if not declared:
        return Derivation((), lambda _: UNKNOWN)
    at = f"{context.defs_module_path.name}/{key}/defs.yaml"
    return Derivation(tuple(inputs), lambda known: _declared(declared, known, at))


def of_history(found: Derivation, newest: str, at: str) -> Derivation:
    """How the columns of a history follow: those of its query, with the times of an interval for the one moment.

    newest: the query's column with that moment. at: the file that names it.
    """

    def columns(known: Mapping[str, Columns]) -> Columns:
        own = found.columns(known)
        require_columns(own, [newest], at)
        kept = {name: origins for name, origins in own.origins.items() if name.lower() != newest.lower()}
        moment = next((origins for name, origins in own.origins.items() if name.lower() == newest.lower()), ())
        return Columns({**kept, **dict.fromkeys(MADE, moment)}, own.complete, own.others)

    return Derivation(found.reads, columns)


def typed(
    transform: Callable[[Mapping[str, pa.Table]], pa.Table], declared: Made, key: str
) -> Callable[[Mapping[str, pa.Table]], pa.Table]:
    """The function, which then gives the columns that it declares, of the types that it declares, or AuditError."""
    if not declared:
        return transform

    def checked(frames: Mapping[str, pa.Table]) -> pa.Table:
        made = transform(frames)
        _require_types(made.schema, declared, key)
        return made

    return checked


def _declared(declared: Made, known: Mapping[str, Columns], at: str) -> Columns:
    return Columns({name: tuple(_origin(each, known, at) for each in of.made_from) for name, of in declared.items()})


def _origin(written: str, known: Mapping[str, Columns], at: str) -> Origin:
    """The table and the column that are written as `layer.table.column`."""
    layer, _, rest = written.partition(".")
    table, _, column = rest.partition(".")
    key = f"{layer}/{table}"
    if key not in known:
        raise DeclarationError(
            f"{at}: a column is made from {written}, but {key} is none of its inputs", allowed=nearest(key, known)
        )
    names = {name.lower(): name for name in known[key].origins}
    if known[key].complete and column.lower() not in names:
        raise DeclarationError(
            f"{at}: a column is made from {written}, but {key} has no such column",
            allowed=nearest(column, known[key].origins),
        )
    return key, names.get(column.lower(), column)


def _require_types(schema: pa.Schema, declared: Made, key: str) -> None:
    import pyarrow as pa

    from ml_platform.engine.column_types import arrow_schema

    wanted = arrow_schema({name: of.type for name, of in declared.items()})
    if sorted(schema.names) != sorted(wanted.names):
        raise AuditError(
            f"{key} has the columns {', '.join(schema.names)}, but it declares {', '.join(wanted.names)}",
            remedy="Mend columns in its defs.yaml, or the function",
        )
    texts = (pa.large_string(), pa.string_view())
    for field in schema:
        kind = pa.string() if field.type in texts else field.type
        if kind != wanted.field(field.name).type:
            raise AuditError(
                f"{key} has {field.name} as {field.type}, but it declares {wanted.field(field.name).type}",
                remedy="Mend columns in its defs.yaml, or the function",
            )
