"""A sample: landed files, and the columns that a source has to declare so that it takes every row of them.

Of Parquet the types are those of the schema, the wider one where files differ. Of CSV and JSON lines they are told from
all rows: a column has the first of boolean, int64, float64, date and timestamp that holds all of its values as they are
written, and is a string otherwise. An empty field says nothing; numbers that are written with leading zeros, signs or
blanks are ids, and times without a zone are texts. What it tells is proven by reading the files so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSystem

from ml_platform.engine import json_rows
from ml_platform.engine.column_types import arrow_type, kind_of
from ml_platform.engine.csv_rows import converted
from ml_platform.engine.source_files import format_of, kinds, parquet_of, parts, text_of
from ml_platform.engine.source_rows import COLUMNS, TYPE, Convert
from ml_platform.errors import SourceError

# How values are written that may be read as such; more digits than these a float does not hold.
_WRITTEN = {"int64": r"^-?(0|[1-9]\d*)$", "float64": r"^-?(0|[1-9]\d{0,14})(\.\d+)?([eE][-+]?\d+)?$"}
_OF_TEXTS = ("boolean", "int64", "float64", "date", "timestamp")
_LARGEST_EXACT = 2**53
_WIDER = ("int32", "int64", "float64")


@dataclass(frozen=True)
class Sampled:
    """A column. kind: its declared type. note: what people have to know of it, empty where that is nothing."""

    kind: str
    note: str = ""


@dataclass(frozen=True)
class Sample:
    """What files hold. columns: by name. quarantines: whether some rows have values that their column cannot take."""

    columns: Mapping[str, Sampled]
    quarantines: bool = False


_UNTOLD = Sampled("string", "no value in the sample")


def sample(files: FileSystem, paths: Sequence[str], declared: str | None = None) -> Sample:
    """The columns of the files, in the order of the first one.

    declared: their format, where their names do not say it. Raises SourceError for files of several formats or of
    different columns, for one that is damaged or empty, for values that no column holds, and where there is no row to
    tell types from.
    """
    formats = {format_of(path, declared, "Say --format"): path for path in reversed(paths)}
    if len(formats) > 1:
        told = ", ".join(f"{path} is {kind}" for kind, path in sorted(formats.items()))
        raise SourceError(f"{told}, but a source is declared from files of one format", remedy="Declare one for each")
    (kind,) = formats
    read = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind]
    found = read(files, paths, declared)
    if not found.columns:
        raise SourceError(f"{paths[0]} has no column, but a source has some", remedy="Sample a file with rows")
    _prove(found, files, paths, declared)
    return found


class _Texts:
    """The types that all texts of a column can be read as, whichever came so far."""

    def __init__(self, kinds: Iterable[str] = _OF_TEXTS, convert: Convert = converted) -> None:
        self._kinds = list(kinds)
        self._convert = convert
        self._empty = True

    def add(self, texts: pa.Array) -> None:
        texts = texts.drop_null()
        if len(texts):
            self._empty = False
            self._kinds = [kind for kind in self._kinds if _holds(kind, texts, self._convert)]

    @property
    def told(self) -> Sampled:
        if self._empty:
            return _UNTOLD
        return Sampled(self._kinds[0] if self._kinds else "string")


def _holds(kind: str, texts: pa.Array, convert: Convert) -> bool:
    written = _WRITTEN.get(kind)
    if written and not pc.all(pc.match_substring_regex(texts, written)).as_py():
        return False
    try:
        convert(texts, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _csv(files: FileSystem, paths: Sequence[str], declared: str | None) -> Sample:
    columns: dict[str, _Texts] = {}
    rows = 0
    for path in paths:
        header = kinds(files, path, declared)
        columns = columns or {name: _Texts() for name in header}
        _require_same(paths[0], columns, path, header)
        for part in parts(files, path, dict.fromkeys(header, "string"), declared):
            rows += part.rows.num_rows
            for name, texts in columns.items():
                texts.add(part.rows[name])
    if not rows:
        raise SourceError(
            f"{paths[0]} has a header but no row, but types are told from rows", remedy="Sample a file with rows"
        )
    return Sample({name: texts.told for name, texts in columns.items()})


def _parquet(files: FileSystem, paths: Sequence[str], declared: str | None) -> Sample:
    columns: dict[str, str] = {}
    for path in paths:
        with parquet_of(files, path) as file:
            schema = file.schema_arrow
        found = {field.name: _kind(path, field) for field in schema}
        columns = columns or found
        _require_same(paths[0], columns, path, found)
        columns = {name: _wider(path, name, kind, found[name]) for name, kind in columns.items()}
    return Sample({name: Sampled(kind) if kind else _UNTOLD for name, kind in columns.items()})


def _kind(path: str, field: pa.Field) -> str:
    if pa.types.is_null(field.type):
        return ""
    kind = kind_of(field.type)
    if kind is None:
        raise SourceError(
            f"{path} has a column {field.name} of type {field.type}, but no column of a source is of that type",
            allowed="Numbers, texts, booleans, dates and timestamps with a zone are declared",
            remedy="Land the file without it, or with its values in such a type",
        )
    return kind


def _wider(path: str, name: str, one: str, other: str) -> str:
    """The type that takes the values of both; an empty one has none."""
    if one == other or not other:
        return one
    if not one:
        return other
    if one in _WIDER and other in _WIDER:
        return max(one, other, key=_WIDER.index)
    if one.startswith("decimal") and other.startswith("decimal"):
        a, b = arrow_type(one), arrow_type(other)
        scale = max(a.scale, b.scale)
        return f"decimal({min(38, scale + max(a.precision - a.scale, b.precision - b.scale))},{scale})"
    raise SourceError(
        f"{path} has a column {name} of type {other}, but it is {one} in a file before it",
        remedy="Land files with one type for each column",
    )


class _Values:
    """What JSON values a key had."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._texts = _Texts(("date", "timestamp"), json_rows.moments)
        self._waiting: list[str] = []
        self._exact = True

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self._waiting.append(value)
        elif isinstance(value, bool):
            self._kinds.add("boolean")
        elif isinstance(value, int):
            self._kinds.add("int64" if -(2**63) <= value < 2**63 else "larger number")
            self._exact = self._exact and abs(value) <= _LARGEST_EXACT
        elif isinstance(value, float):
            self._kinds.add("float64")

    def settle(self) -> None:
        """The texts that came are told apart; none of them is held any longer."""
        self._texts.add(pa.array(self._waiting, pa.string()))
        self._kinds |= {"string"} if self._waiting else set()
        self._waiting = []

    @property
    def told(self) -> Sampled:
        if self._kinds <= {"string"}:
            return self._texts.told
        if len(self._kinds) == 1 and "larger number" not in self._kinds:
            return Sampled(next(iter(self._kinds)))
        if self._kinds == {"int64", "float64"} and self._exact:
            return Sampled("float64")
        return Sampled("string", f"the sample has {', '.join(sorted(self._kinds))}; what is no text is quarantined")

    @property
    def mixed(self) -> bool:
        return self.told.kind == "string" and bool(self._kinds - {"string"})


def _jsonl(files: FileSystem, paths: Sequence[str], declared: str | None) -> Sample:
    columns: dict[str, _Values] = {}
    for path in paths:
        read = 0
        with text_of(files, path) as stream:
            for lines in json_rows.lines(stream, path):
                for number, line in enumerate(lines, read + 1):
                    for name, value in _object(path, number, line):
                        columns.setdefault(name, _Values()).add(value)
                read += len(lines)
                for values in columns.values():
                    values.settle()
        if not read:
            raise SourceError(f"{path} is empty, but types are told from lines", remedy="Sample a file with lines")
    told = {name: values.told for name, values in columns.items()}
    return Sample(told, any(values.mixed for values in columns.values()))


def _object(path: str, number: int, line: bytes) -> list[tuple[str, Any]]:
    """The pairs of one line. Raises SourceError for a line that is no JSON object of plain values, each key once."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise _no_row(path, number, f"no JSON ({error})") from error
    if not isinstance(value, dict):
        raise _no_row(path, number, "no JSON object")
    nested = [name for name, held in value.items() if isinstance(held, dict | list)]
    if nested:
        raise _no_row(path, number, f"nested in {', '.join(nested)}")
    return list(value.items())


def _no_row(path: str, number: int, what: str) -> SourceError:
    return SourceError(
        f"line {number} of {path} is {what}, but a line is one JSON object of plain values",
        remedy="Sample a file whose lines are",
    )


def _require_same(first: str, columns: Iterable[str], path: str, found: Iterable[str]) -> None:
    """Returns where both files have the same columns, in whatever order. Raises SourceError."""
    missing, more = (", ".join(sorted(it)) for it in (set(columns) - set(found), set(found) - set(columns)))
    if missing or more:
        lacks = [f"lacks {missing} of {first}"] if missing else []
        has = [f"has {more}, which {first} has not"] if more else []
        raise SourceError(
            f"{path} {' and '.join([*lacks, *has])}, but the files of a source have the same columns",
            remedy="Declare a source for each kind of file",
        )


def _prove(found: Sample, files: FileSystem, paths: Sequence[str], declared: str | None) -> None:
    """Returns where the files can be read as told. Raises SourceError for the first row that cannot."""
    columns = {name: column.kind for name, column in found.columns.items()}
    for path in paths:
        for _ in parts(files, path, columns, declared, refused={COLUMNS} if found.quarantines else {COLUMNS, TYPE}):
            pass
