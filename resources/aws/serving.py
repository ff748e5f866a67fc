"""What a SageMaker endpoint is to serve, variant by variant, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ml_platform.engine.package import digest
from ml_platform.errors import NotFoundError
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit

DIGITS = 6


@dataclass(frozen=True)
class Serving:
    """What serves: the revision, and variant → fingerprint of what its server has loaded."""

    revision: Revision
    fingerprints: Mapping[str, str]


def parts(spec: EndpointSpec) -> dict[int, EndpointSpec]:
    """Version → what its variant serves: that version alone.

    It has the packages of the others as well, so that one request suits them all: SageMaker chooses who answers it. The
    shadow listens to each of the others.
    """
    return {
        version: replace(
            spec, split=TrafficSplit({version: 1.0}), shadow=None if version == spec.shadow else spec.shadow
        )
        for version in spec.packages
    }


def digests_of(spec: EndpointSpec) -> dict[int, str]:
    """Version → digest of its package. Raises NotFoundError for a package that is not there."""
    for version, package in spec.packages.items():
        if not Path(package).is_dir():
            raise NotFoundError(f"the package of version {version} is to be at {package}, but there is no such folder")
    return {version: digest(Path(package)) for version, package in spec.packages.items()}


def same(serving: Serving, wanted: Mapping[str, str], shares: Mapping[int, float]) -> bool:
    """Whether what serves is what is wanted, to the sixth digit of its shares: SageMaker keeps single floats."""
    split = {version: round(share, DIGITS) for version, share in shares.items()}
    return serving.fingerprints == wanted and serving.revision.split.shares == split
