"""Request-time features: what one pure function says of a request, by the same lines offline and online.

The function is given one row, values of plain Python; nothing else computes these features, whether a training set is
joined, events are scored in batch, a request is answered, or an audit asks again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

from ml_platform.engine.package import read_json, write_json
from ml_platform.engine.written_function import function_in
from ml_platform.errors import AuditError, DeclarationError, nearest
from ml_platform.records.feature import RequestTimeFeatures

FILE = "request_time.json"
# The parameter that is given the moment of the request.
EVENT_TIME = "event_time"
OR_NONE = " | None"
# What a column is known as → how a function may take it; of a column whose type is not known, in any way.
TAKEN_AS: Mapping[str, tuple[str, ...]] = {
    "number": ("float", "int", "bool"),
    "category": ("str",),
    "string": ("str",),
    "integer": ("int", "float"),
    "boolean": ("bool",),
    EVENT_TIME: ("datetime",),
}
Columns = dict[str, list[object]]


class ComputationError(AuditError):
    """A request-time feature cannot be computed of a row; the message names function, row and moment."""


def computed(
    every: Sequence[RequestTimeFeatures], columns: Mapping[str, Sequence[object]], at: Sequence[datetime]
) -> Columns:
    """Feature → a value per row, of all functions in their order; a later one may take what an earlier one gave.

    columns: at least those that the functions take. at: the moment of each row, UTC.
    None, NaN and infinite numbers are missing: a parameter that may be missing is None then, and where another is
    missing, so are the features. Raises ComputationError where a function fails at a row, is given what is not of its
    parameter's type, or gives anything but a number or a text for each of its features.
    """
    found: Columns = {}
    for each in every:
        found |= _answers(each, {**columns, **found, EVENT_TIME: at}, at)
    return found


def taken(every: Iterable[RequestTimeFeatures]) -> dict[str, str]:
    """What the functions take of others: the columns of the request and of views → `number` or `category`."""
    inputs: dict[str, str] = {}
    for each in every:
        kinds = {name: kind.removesuffix(OR_NONE) for name, kind in each.inputs.items() if name != EVENT_TIME}
        inputs |= {name: "category" if kind == "str" else "number" for name, kind in kinds.items()}
    given = {feature for each in every for feature in each.features}
    return {name: kind for name, kind in inputs.items() if name not in given}


def require_given(every: Iterable[RequestTimeFeatures], known: Mapping[str, str], at: str) -> dict[str, str]:
    """What is known once the features are: column → type; where they can be computed of what is known before.

    known: columns → `number`, `category`, a request's type, or nothing where it is not known. at: whose they are, for
    errors. Raises DeclarationError for what nothing gives, for another type, and for a feature that is there already.
    """
    found = {**known, EVENT_TIME: EVENT_TIME}
    for each in every:
        for name, kind in each.inputs.items():
            _require_input(each, name, kind.removesuffix(OR_NONE), found, at)
        for feature in each.features:
            if feature in found:
                raise DeclarationError(
                    f"{at}: {feature} comes from {each.name} and from what is before it, but a column has one origin",
                    remedy=f"Name it otherwise in {each.name}",
                )
        found |= each.features
    return found


def version_of(each: RequestTimeFeatures) -> str:
    """The name with a digest of all that the features follow from, for instance `order_moment_v1@0f3a5c77d2b1`."""
    text = json.dumps(asdict(each), sort_keys=True)
    return f"{each.name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def function_of(each: RequestTimeFeatures) -> Callable[..., Any]:
    """The function, ready to be called. Raises DeclarationError where its text cannot be executed."""
    return _function(each.source, each.name)


def save(package: Path, every: Sequence[RequestTimeFeatures]) -> None:
    """The model's package holds the functions that it was fitted with."""
    write_json(package / FILE, [asdict(each) for each in every], sort_keys=False)


def load(package: Path) -> tuple[RequestTimeFeatures, ...]:
    """The functions that the package holds."""
    return tuple(RequestTimeFeatures(**it) for it in read_json(package / FILE)) if (package / FILE).is_file() else ()


def _require_input(each: RequestTimeFeatures, name: str, kind: str, known: Mapping[str, str], at: str) -> None:
    if name not in known:
        raise DeclarationError(
            f"{at}: {each.name} takes {name}, but neither the request nor a view gives it",
            allowed=nearest(name, known),
            remedy="A request carries the columns of entity and request, and event_time; list a view that gives it",
        )
    allowed = TAKEN_AS.get(known[name])
    if allowed and kind not in allowed:
        raise DeclarationError(
            f"{at}: {each.name} takes {name} as {kind}, but it is a {known[name]}",
            allowed=f"It can be taken as {' or '.join(allowed)}",
        )


def _answers(each: RequestTimeFeatures, known: Mapping[str, Sequence[object]], at: Sequence[datetime]) -> Columns:
    function = function_of(each)
    given = [_given(each.name, name, kind, known[name], at) for name, kind in each.inputs.items()]
    needed = [place for place, kind in enumerate(each.inputs.values()) if not kind.endswith(OR_NONE)]
    found: Columns = {feature: [None] * len(at) for feature in each.features}
    for row, values in enumerate(zip(*given, strict=True)):
        if any(values[place] is None for place in needed):
            continue
        try:
            said = function(*values)
        except Exception as error:
            raise ComputationError(
                f"{each.name} ends with {type(error).__name__} ({error}) at {_row(row, at)}, but every row needs its "
                "features",
                remedy="Mend the function",
            ) from error
        for feature, value in _checked(each, said, row, at).items():
            found[feature][row] = value
    return found


@lru_cache(maxsize=256)
def _function(source: str, name: str) -> Callable[..., Any]:
    return function_in(source, name, f"{name}.py", "it is what computes features at the time of a request")


def _given(function: str, name: str, kind: str, values: Sequence[object], at: Sequence[datetime]) -> list[object]:
    """The values as the parameter takes them; None where they are missing."""
    take = _taking(kind.removesuffix(OR_NONE))
    found: list[object] = []
    for row, value in enumerate(values):
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            found.append(None)
            continue
        try:
            found.append(take(value))
        except (TypeError, ValueError) as error:
            raise ComputationError(
                f"{name} is {value!r} at {_row(row, at)}, but {function} takes it as {kind}"
            ) from error
    return found


def _taking(kind: str) -> Callable[[Any], object]:
    """How a value becomes one of that type. What is built raises TypeError or ValueError for what is none."""
    from ml_platform.engine.encoding import spelled

    kinds: Mapping[str, Callable[[Any], object]] = {
        "str": spelled,
        "int": _whole,
        "float": lambda value: float(_number(value)),
        "bool": _side,
        "datetime": lambda value: value.astimezone(UTC),
    }
    return kinds[kind]


def _number(value: Any) -> Any:
    if isinstance(value, str):
        raise TypeError("a text is no number")
    return value


def _whole(value: Any) -> int:
    found = int(_number(value))
    if found != value:
        raise ValueError("a part of it would be lost")
    return found


def _side(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("it is neither true nor false")
    return bool(value)


def _checked(
    each: RequestTimeFeatures, said: object, row: int, at: Sequence[datetime]
) -> Mapping[str, float | str | None]:
    """What the function said, as features have it: a finite float or a text, None where it is missing."""
    if not isinstance(said, Mapping) or said.keys() != each.features.keys():
        found = f"{', '.join(map(str, said))}" if isinstance(said, Mapping) else f"a {type(said).__name__}"
        raise ComputationError(
            f"{each.name} gave {found or 'nothing'} at {_row(row, at)}, but it is a mapping of its features",
            allowed=f"They are {', '.join(each.features)}",
        )
    return {feature: _valued(each, feature, said[feature], row, at) for feature in each.features}


def _valued(each: RequestTimeFeatures, feature: str, value: object, row: int, at: Sequence[datetime]) -> Any:
    kind = each.features[feature]
    if value is None or (kind == "category" and isinstance(value, str)):
        return value
    if kind == "number" and isinstance(value, Real):
        found = float(value)
        if math.isfinite(found):
            return found
        if math.isnan(found):
            return None
    raise ComputationError(
        f"{feature} of {each.name} is {value!r} at {_row(row, at)}, but it is declared as a {kind}",
        allowed="A finite number, or None where it is missing" if kind == "number" else "A text, or None",
    )


def _row(row: int, at: Sequence[datetime]) -> str:
    return f"row {row}, of {at[row].isoformat()}"
