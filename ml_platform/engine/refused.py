"""Refused rows: flagged rows that break a rule, as a quarantine keeps them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_platform.engine import quarantine
from ml_platform.engine.expectations import flag, sentence
from ml_platform.engine.files import filesystem
from ml_platform.engine.provenance import ASKED_FILE, ASKED_OFFSET, FILE, OFFSET
from ml_platform.errors import AuditError
from ml_platform.records.expectation import Rule
from ml_platform.records.table import StagedFiles

_BATCH_ROWS = 16_384


def refused(
    flags: StagedFiles, rules: Sequence[Rule], columns: Sequence[str], partition: str | None
) -> Iterator[pa.RecordBatch]:
    """The rows that go to the quarantine, in the order of the files, a batch at a time, in the quarantine's schema.

    flags: what `expectations.flagged` gave. columns: those of the row itself. Each says by which rule it went, the
    first of the quarantine's that it broke; and every rule that it broke, one to a line, behind its name.
    """
    at, schema = datetime.now(UTC), quarantine.schema(partition)
    files = filesystem(flags.location)
    for file in flags.files:
        with files.open_input_file(file.path) as stream:
            for batch in pq.ParquetFile(stream, pre_buffer=False).iter_batches(_BATCH_ROWS):
                rows = batch.filter(_is_bad(batch, rules)).to_pylist()
                if rows:
                    records = [_record(row, rules, columns, partition, at) for row in rows]
                    yield pa.RecordBatch.from_pylist(records, schema)


def _is_bad(batch: pa.RecordBatch, rules: Sequence[Rule]) -> pa.BooleanArray:
    """As `expectations.bad` says it."""
    nothing = pa.array([False] * batch.num_rows)
    quarantined, failing = (
        functools.reduce(
            pc.or_, (batch[flag(at)] for at, rule in enumerate(rules) if rule.severity == severity), nothing
        )
        for severity in ("quarantine", "fail")
    )
    return pc.and_(quarantined, pc.invert(failing))


def _record(
    row: Mapping[str, Any], rules: Sequence[Rule], columns: Sequence[str], partition: str | None, at: datetime
) -> dict[str, Any]:
    broken = [rule for position, rule in enumerate(rules) if row[flag(position)]]
    return {
        "rule": next(rule.name for rule in broken if rule.severity == "quarantine"),
        "reason": "\n".join(f"{rule.name}: {sentence(rule)}" for rule in broken),
        "source_file": row.get(ASKED_FILE, row.get(FILE)),
        "source_offset": row.get(ASKED_OFFSET, row.get(OFFSET)),
        "row": as_json({column: row[column] for column in columns}),
        "quarantined_at": at,
        **({partition: row[partition]} if partition else {}),
    }


def as_json(row: Mapping[str, Any]) -> str:
    """The row as a JSON object: moments in ISO 8601, bytes in hexadecimal digits, what JSON has no number for as text.

    >>> as_json({"day": date(2013, 2, 12), "speed": math.nan, "name": "é"})
    '{"day": "2013-02-12", "speed": "nan", "name": "é"}'
    """
    try:
        return json.dumps(row, default=_plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(row), default=_plain, ensure_ascii=False, allow_nan=False)


def as_rows(kept: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The rows that `as_json` wrote, in the schema; a column that a row did not have yet is NULL.

    Raises AuditError, naming the column, for a value that is not of its type any more.
    """
    read = [json.loads(row) for row in kept]
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in read]
        try:
            columns.append(pa.array([_typed(value, field.type) for value in values], field.type))
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException) as error:
            raise AuditError(
                f"a quarantined row's {field.name} cannot be read as {field.type} ({error}), but the column is of that "
                "type by now",
                remedy="Make the column as it was, or restore the table and its quarantine to an earlier version",
            ) from error
    return pa.Table.from_arrays(columns, schema=schema)


def _typed(value: Any, kind: pa.DataType) -> Any:
    """A value of JSON as the type has it."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {of.name: _typed(value.get(of.name), of.type) for of in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_typed(inside, kind.value_type) for inside in value]
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value)
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    if pa.types.is_decimal(kind):
        return Decimal(str(value))
    if pa.types.is_floating(kind):
        return float(value)
    return bytes.fromhex(value) if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else value


def _plain(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
