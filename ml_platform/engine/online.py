"""The online path: which views are looked up with which keys, and how a request's rows become a model's columns."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from ml_platform.engine.request_time import EVENT_TIME, Columns, require_given, taken
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.endpoint import EndpointSpec, TrafficSplit
from ml_platform.records.feature import FeatureRow, FeatureView, LookUp, RequestTimeFeatures

__all__ = [
    "EVENT_TIME",
    "Columns",
    "check_features",
    "check_spec",
    "enrich",
    "key_columns",
    "looked_up",
    "row_time",
    "version_for",
]

REQUEST_TYPES = ("string", "integer", "number", "boolean")


def check_spec(spec: EndpointSpec) -> None:
    """Returns when the spec can be served as far as its words say; else raises DeclarationError."""
    for name, kind in spec.request.items():
        if kind not in REQUEST_TYPES:
            raise DeclarationError(
                f"request column {name} of endpoint {spec.name} is of type {kind!r}, but a request has no such",
                allowed=nearest(kind, REQUEST_TYPES),
            )
    _check_views(spec.name, spec.request, spec.views)
    _check_split(spec)
    given = [*spec.request, *(feature for view in spec.views for feature in view.features)]
    for name in spec.redact:
        if name not in given:
            raise DeclarationError(
                f"the log of endpoint {spec.name} is to redact {name}, but neither a request nor a view gives it",
                allowed=nearest(name, given),
            )


def _check_views(endpoint: str, request: Mapping[str, str], views: Sequence[FeatureView]) -> None:
    if EVENT_TIME in request:
        raise DeclarationError(
            f"{EVENT_TIME} is a request column of endpoint {endpoint}, but every request carries it anyway",
            remedy="Leave it out of the declaration",
        )
    origin = dict.fromkeys(request, "the request")
    for view in views:
        for key in view.entity:
            if key not in origin:
                raise DeclarationError(
                    f"feature view {view.name} is keyed by {key}, but nothing before it gives {endpoint} that",
                    allowed=nearest(key, origin),
                    remedy=f"Add {key} to the request, or put the view that gives it before {view.name}",
                )
        for feature in view.features:
            if feature in origin:
                raise DeclarationError(
                    f"{feature} of endpoint {endpoint} comes from {origin[feature]} and from {view.name}, "
                    "but a column has one origin",
                    remedy="Take it out of one of them",
                )
            origin[feature] = view.name


def _check_split(spec: EndpointSpec) -> None:
    shares = spec.split.shares
    if not shares or not math.isclose(math.fsum(shares.values()), 1.0, abs_tol=1e-9) or min(shares.values()) < 0:
        raise DeclarationError(
            f"the traffic split of endpoint {spec.name} is {dict(shares)}, but that is not the whole of its traffic",
            allowed="Shares are 0 or more and sum to 1.0",
        )
    if unknown := sorted(shares.keys() - spec.packages.keys()):
        raise DeclarationError(
            f"endpoint {spec.name} sends traffic to version {unknown[0]}, but has no package of it",
            allowed=f"It has packages of {sorted(spec.packages)}",
        )
    if spec.shadow is not None and (spec.shadow not in spec.packages or shares.get(spec.shadow, 0.0) > 0):
        raise DeclarationError(
            f"the shadow of endpoint {spec.name} is version {spec.shadow}, but a shadow is loaded and has no share",
            allowed=f"It has packages of {sorted(spec.packages)} and splits its traffic over {dict(shares)}",
        )


def check_features(
    spec: EndpointSpec, features: Mapping[str, str], request_time: Sequence[RequestTimeFeatures] = ()
) -> None:
    """Returns when the request and the views give what a model takes; else raises DeclarationError.

    features: the model's feature → `number` or `category`. request_time: what is computed for it of what they give.
    """
    if not features:
        raise DeclarationError(f"the model of endpoint {spec.name} takes no feature, but rows are told apart by them")
    given = {**spec.request, **{feature: "" for view in spec.views for feature in view.features}}
    known = require_given(request_time, given, f"endpoint {spec.name}") if request_time else given
    for name, kind in features.items():
        if name not in known:
            raise DeclarationError(
                f"the model of endpoint {spec.name} takes {name}, but neither the request nor a view gives it",
                allowed=nearest(name, known),
                remedy="Add the feature view that holds it to the endpoint's declaration",
            )
        if kind == "number" and spec.request.get(name) == "string":
            raise DeclarationError(
                f"request column {name} of endpoint {spec.name} is a string, but the model takes it as a number",
                remedy="Declare it as number or integer",
            )


def enrich(
    request: Mapping[str, Sequence[object]],
    at: Sequence[datetime],
    views: Sequence[FeatureView],
    look_up: Callable[[LookUp], Sequence[FeatureRow]],
) -> tuple[Columns, dict[str, list[datetime | None]]]:
    """The request's columns with the features of every view beside them, and view → event time of each row's answer.

    at: the moment of each row, UTC; every look-up is as of it. A row without a usable answer has None for the view's
    features and its time; a key with a None in it is not looked up.
    """
    columns: Columns = {name: list(values) for name, values in request.items()}
    times: dict[str, list[datetime | None]] = {}
    for view in views:
        keys = list(zip(*(columns[name] for name in view.entity), strict=True))
        rows = _answers(view, keys, at, look_up)
        for feature in view.features:
            columns[feature] = [row.values[feature] for row in rows]
        times[view.name] = [row.event_time for row in rows]
    return columns, times


def _answers(
    view: FeatureView,
    keys: Sequence[tuple[object, ...]],
    at: Sequence[datetime],
    look_up: Callable[[LookUp], Sequence[FeatureRow]],
) -> Sequence[FeatureRow]:
    asked = [position for position, key in enumerate(keys) if None not in key]
    rows = [FeatureRow(dict.fromkeys(view.features))] * len(keys)
    if asked:
        found = look_up(LookUp(view, [keys[i] for i in asked], [at[i] for i in asked]))
        for position, row in zip(asked, found, strict=True):
            rows[position] = row
    return rows


def looked_up(
    views: Sequence[FeatureView], features: Mapping[str, str], request_time: Iterable[RequestTimeFeatures] = ()
) -> dict[str, str]:
    """What a caller who looks the views up sends beside its request, name → `number`, `category` or `string`.

    features: what the models take → `number` or `category`. request_time: what the endpoint computes of what is sent.
    The event time of each row that was used comes with them, as `<view>.event_time`.
    """
    features = {**taken(request_time), **features}
    given = {feature for view in views for feature in view.features}
    times = {row_time(view): "string" for view in views}
    return {**{name: kind for name, kind in features.items() if name in given}, **times}


def row_time(view: FeatureView) -> str:
    """The input that carries the event time of the view's row."""
    return f"{view.name}.{EVENT_TIME}"


def key_columns(request: Mapping[str, str], views: Sequence[FeatureView]) -> tuple[str, ...]:
    """The request's columns that name an entity, all of its columns where none does; a traffic split goes by them."""
    entities = {name for view in views for name in view.entity}
    return tuple(name for name in request if name in entities) or tuple(request)


def version_for(key: Sequence[object], split: TrafficSplit) -> int:
    """The model version that answers for a key: the same one for as long as the shares stand.

    A version keeps the keys that it had for as long as its share grows and no other's does: each version draws a number
    for the key, which its share weighs, and the highest answers. (Weighted rendezvous hashing: Schindelhauer and
    Schomaker, "Weighted distributed hash tables", SPAA 2005.)

    >>> [version_for([flight], TrafficSplit({1: 0.5, 2: 0.5})) for flight in ("UA1545", "B6725", "DL461")]
    [1, 1, 2]
    """
    versions = sorted(version for version, share in split.shares.items() if share > 0)
    if len(versions) == 1:
        return versions[0]
    text = json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))
    return max(versions, key=lambda version: split.shares[version] / -math.log(_drawn(version, text)))


def _drawn(version: int, text: str) -> float:
    """A number in (0, 1) that version and text alone decide."""
    drawn = int.from_bytes(hashlib.sha256(f"{version} {text}".encode()).digest()[:8], "big")
    return ((drawn >> 12) + 0.5) / 2**52
