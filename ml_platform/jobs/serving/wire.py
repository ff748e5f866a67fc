"""The wire form of an endpoint's spec: the JSON that a host hands to its server, and the fingerprint of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ml_platform.engine.program import digest
from ml_platform.errors import DeclarationError
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.records.feature import FeatureView
from ml_platform.records.job import Needs


def program() -> str:
    """A digest of the code that serves, as it stood when this process first asked.

    A server asks when it starts: one that was started before an update goes on with the old.
    """
    return digest("jobs.serve")


def encode(spec: EndpointSpec, number: int) -> dict[str, Any]:
    """The spec and its revision's number as plain JSON values; `decode` gives both again."""
    plain = asdict(spec)
    plain["packages"] = {str(version): folder for version, folder in spec.packages.items()}
    plain["split"] = {str(version): share for version, share in spec.split.shares.items()}
    return {**plain, "revision": number}


def decode(plain: Mapping[str, Any]) -> tuple[EndpointSpec, int]:
    """The spec and number that the JSON values say, other keys ignored. Raises DeclarationError where they say none."""
    try:
        spec = EndpointSpec(
            name=str(plain["name"]),
            packages={int(version): str(folder) for version, folder in plain["packages"].items()},
            split=TrafficSplit({int(version): float(share) for version, share in plain["split"].items()}),
            request=dict(plain["request"]),
            views=tuple(_view(view) for view in plain["views"]),
            feature_store=ServiceBinding(**plain["feature_store"]),
            prediction_log=ServiceBinding(**plain["prediction_log"]),
            needs=Needs(**plain["needs"]),
            lookup=plain["lookup"],
            group=str(plain.get("group", "")),
            redact=tuple(plain.get("redact", ())),
            shadow=None if plain.get("shadow") is None else int(plain["shadow"]),
        )
        return spec, int(plain["revision"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeclarationError(
            f"the endpoint's spec is unreadable ({type(error).__name__}: {error}), but the server is made from it",
            allowed=f"It has revision, {', '.join(EndpointSpec.__dataclass_fields__)}",
        ) from error


def _view(plain: Mapping[str, Any]) -> FeatureView:
    return FeatureView(**{**plain, "entity": tuple(plain["entity"]), "features": tuple(plain["features"])})


def fingerprint(spec: EndpointSpec, digests: Mapping[int, str]) -> str:
    """SHA-256, hexadecimal, of what the spec makes a server of this code do; where its packages lie does not matter.

    digests: model version number → digest of its package.
    """
    packages = {str(version): package for version, package in digests.items()}
    plain = {**encode(spec, 0), "program": program(), "packages": packages}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
