"""Endpoints as they travel: what to serve and what really serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_platform.records.feature import FeatureView
from ml_platform.records.job import Needs


@dataclass(frozen=True)
class TrafficSplit:
    """Shares of traffic per model version.

    shares: model version number → share in 0–1; they sum to 1.0.
    """

    shares: Mapping[int, float]


@dataclass(frozen=True)
class ServiceBinding:
    """A service as another process can build it again.

    module, name: where its class is. settings: its arguments, without secrets.
    """

    module: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointSpec:
    """What an endpoint is to serve.

    name: as served in the protocol's path, without the environment's prefix.
    packages: model version number → local folder of its model package.
    split: how traffic goes to those versions; one without a share, or with 0.0, is loaded and answers whoever names it.
    request: the columns that a request carries beside `event_time`, name → type.
    views: the feature views that are looked up, in order; each is keyed by what the request or an earlier view gives.
    feature_store, prediction_log: the services that the server itself talks to.
    lookup: who looks the views up: the `endpoint`, or its `caller`, who then sends their features with the request.
    shadow: a version without a share that answers a copy of all traffic, off the caller's path; it is only logged.
    group: endpoints of one group share a server, where their host has them do so; none is shared without it.
    redact: columns, of the request or looked up, that the log never holds in the clear.
    """

    name: str
    packages: Mapping[int, str]
    split: TrafficSplit
    request: Mapping[str, str]
    views: tuple[FeatureView, ...]
    feature_store: ServiceBinding
    prediction_log: ServiceBinding
    needs: Needs = field(default_factory=Needs)
    lookup: Literal["endpoint", "caller"] = "endpoint"
    shadow: int | None = None
    group: str = ""
    redact: tuple[str, ...] = ()


@dataclass(frozen=True)
class Revision:
    """What an endpoint really serves, as read back from it.

    number: grows by one whenever what is served changes.
    split: the traffic split in force.
    digests: model version number → digest of the package that is loaded.
    url: base address that requests go to.
    ready: whether it answers.
    shadow: the version that answers a copy of the traffic, if one does.
    """

    endpoint: str
    number: int
    split: TrafficSplit
    digests: Mapping[int, str]
    url: str
    ready: bool
    shadow: int | None = None
