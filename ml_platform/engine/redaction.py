"""Redaction: declared columns leave the server only as keyed hashes, by which they can still be joined.

A value becomes its HMAC-SHA-256 (RFC 2104) under a secret that the environment holds. Equal values become equal texts,
whatever column they stand in, so that whoever has the secret joins labels and features to the log, and nobody else
finds out what a text was, not by trying all values either.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_platform.errors import BindingError
from ml_platform.records.feature import RequestTimeFeatures
from ml_platform.records.prediction import ServedPrediction

VARIABLE = "ML_PLATFORM_REDACTION_KEY"
_LEAST_CHARACTERS = 16
_DIGITS = 32  # of 64: 128 bits, so that two values never meet


@dataclass(frozen=True)
class Redaction:
    """What becomes of the columns. key: the secret."""

    columns: frozenset[str]
    key: bytes

    def value(self, of: object) -> str | None:
        """The text in place of a value; a missing one stays missing. Its source is RFC 4231, test case 2.

        >>> Redaction(frozenset(), b"Jefe").value("what do ya want for nothing?")
        '5bdcc146bf60754e6a042426089575c7'
        """
        if of is None:
            return None
        plain = int(of) if isinstance(of, float) and of.is_integer() else of
        text = plain if isinstance(plain, str) else json.dumps(plain, default=str)
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()[:_DIGITS]

    def record(self, of: ServedPrediction) -> ServedPrediction:
        """The record as it may be logged: inputs are hashed; so is a text that the model saw, a number is left out."""
        seen = {
            name: value if name not in self.columns else self.value(value) if isinstance(value, str) else None
            for name, value in of.features.items()
        }
        return replace(of, inputs=self.row(of.inputs), features=seen, error=self._told(of))

    def row(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, those of the columns as their texts."""
        return {name: self.value(value) if name in self.columns else value for name, value in values.items()}

    def _told(self, of: ServedPrediction) -> str:
        """Why there is no answer, without a value that the words may quote: an error of another library's may."""
        return of.error.partition(":")[0]


def redaction(columns: Sequence[str]) -> Redaction | None:
    """The redaction of the columns, by the secret of the environment; None where there are none.

    Raises BindingError where the secret is missing or short.
    """
    if not columns:
        return None
    key = os.environ.get(VARIABLE, "")
    if len(key) < _LEAST_CHARACTERS:
        raise BindingError(
            f"{VARIABLE} has {len(key)} characters, but {', '.join(columns)} may be logged only hashed by that secret",
            allowed=f"A secret has {_LEAST_CHARACTERS} or more",
            remedy="Set the variable to one that stays the same, where endpoints are deployed and logs are collected",
        )
    return Redaction(frozenset(columns), key.encode())


def with_computed(columns: Iterable[str], functions: Iterable[RequestTimeFeatures]) -> list[str]:
    """The columns, and what the functions, in their order, compute of any of them: it may say the same.

    >>> from ml_platform.records.feature import RequestTimeFeatures
    >>> of_name = RequestTimeFeatures("of_name_v1", {"name": "str"}, {"initial": "category"}, "")
    >>> with_computed(["name"], [of_name])
    ['name', 'initial']
    """
    hidden = dict.fromkeys(columns)
    for each in functions:
        if not hidden.keys().isdisjoint({*each.inputs, *each.features}):
            hidden |= dict.fromkeys(each.features)
    return [*hidden]


class RedactedLog:
    """A log to which records go redacted; for the rest it is the log."""

    def __init__(self, log: Any, redaction: Redaction) -> None:
        self._log, self._redaction = log, redaction

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """As the role promises."""
        self._log.append([self._redaction.record(record) for record in records])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
