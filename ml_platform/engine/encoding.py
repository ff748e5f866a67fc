"""The encoding: how named columns become the one matrix of float64 that every estimator reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine.package import Feature
from ml_platform.errors import PlatformError, nearest

Column = Sequence[object] | NDArray[np.generic]

_NUMBERS = (int, float, np.number, np.bool_, Decimal)
_PLAIN = frozenset({int, float})
_NAN = float("nan")
_FEW_ROWS = 16


class Encoding:
    """Numbers as they are, categories as the position of their value; what is missing is NaN.

    An unknown category is missing too, or one of the others, where its feature has them.

    The same code encodes for fitting and for serving, so that the two cannot differ.
    """

    def __init__(self, features: tuple[Feature, ...]) -> None:
        self.features = features
        self._codes = [
            {value: float(code) for code, value in enumerate(feature.values)} if feature.type == "category" else None
            for feature in features
        ]
        self._unknown = [float(len(feature.values)) if feature.others else _NAN for feature in features]

    def matrix(self, columns: Mapping[str, Column]) -> NDArray[np.float64]:
        """One row per row of the columns, one column per feature, in their order; other columns are ignored.

        Raises PlatformError naming the feature that is missing, of another length, or not of its type.
        """
        given = self._given(columns)
        rows = len(given[0]) if given else 0
        encoded = (
            _numbers(feature.name, column) if codes is None else _coded(codes, unknown, column)
            for feature, column, codes, unknown in zip(self.features, given, self._codes, self._unknown, strict=True)
        )
        if rows <= _FEW_ROWS:
            # A request's row has a value a column: filled one by one, they cost more than the rest of the encoding.
            return np.array([*encoded], dtype=np.float64).reshape(len(self.features), rows).T.copy()
        matrix = np.empty((rows, len(self.features)), dtype=np.float64)
        for position, values in enumerate(encoded):
            matrix[:, position] = values
        return matrix

    def _given(self, columns: Mapping[str, Column]) -> list[Column]:
        for feature in self.features:
            if feature.name not in columns:
                raise PlatformError(
                    f"feature {feature.name} is missing, but the model needs it",
                    allowed=nearest(feature.name, columns),
                )
        given = [columns[feature.name] for feature in self.features]
        if len(set(map(len, given))) > 1:
            lengths = {feature.name: len(column) for feature, column in zip(self.features, given, strict=True)}
            raise PlatformError(f"columns have lengths {lengths}, but every column must have the same number of rows")
        return given


def _coded(codes: Mapping[str, float], unknown: float, column: Column) -> list[float]:
    find = codes.get
    if unknown != unknown:
        return [find(value if type(value) is str else spelled(value), _NAN) for value in column]
    # NaN is the one value that differs from itself.
    return [_NAN if value is None or value != value else find(spelled(value), unknown) for value in column]


def spelled(value: object) -> str:
    """The text by which a category's value is known; a whole float is spelled as the integer that it was.

    A column of integers with a gap reaches us as floats, so 5 and 5.0 must be one category.

    >>> spelled(5.0), spelled(5), spelled("5")
    ('5', '5', '5')
    """
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _numbers(name: str, column: Column) -> NDArray[np.generic] | list[float]:
    if isinstance(column, np.ndarray):
        if column.dtype.kind in "fiub":
            return column
    elif _PLAIN.issuperset(map(type, column)):
        return cast("list[float]", column)
    # NumPy would read the text "1.5" as a number without a word; a request that sends text is at fault and is told.
    for value in column:
        if value is not None and not isinstance(value, _NUMBERS):
            raise PlatformError(
                f"feature {name} is {value!r}, but it is a number and not {type(value).__name__}",
                allowed="A number, or null where it is missing",
            )
    return [_NAN if value is None else float(value) for value in column]  # type: ignore[arg-type]
