"""An endpoint host on Databricks Model Serving: a served entity per model version, traffic by the endpoint's routes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ml_platform.engine.hosting import FINE_SHARES, GROUP, REDACT, REQUEST_KEY, require_able
from ml_platform.engine.package import digest
from ml_platform.errors import NotFoundError, PlatformError, ServiceError, TransientServiceError
from ml_platform.jobs.serving import bundle
from ml_platform.jobs.serving.tensors import RequestError
from ml_platform.records.endpoint import EndpointSpec, Revision, TrafficSplit
from resources.databricks.bundles import Bundles
from resources.databricks.serving_endpoints import Entity, Found, ServingEndpoints, workload_size
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from ml_platform.roles.endpoint_host import EndpointHost

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class DatabricksEndpointHost:
    """Endpoints `<prefix>-<name>`, which serve versions of `<catalog>.<schema>.<prefix>-<name>__served`.

    catalog, schema: of Unity Catalog; both have to exist. prefix: the environment's.
    lookup: who looks features up. environment: variables of the servers; a secret is `{{secrets/<scope>/<key>}}`.
    scale_to_zero: whether servers end while nobody asks. max_seconds: how long a change may take.
    poll_seconds: between two looks at a change.
    """

    REACHES: ClassVar[frozenset[str]] = frozenset({"databricks"})
    CANNOT: ClassVar[frozenset[str]] = frozenset({GROUP, REDACT, REQUEST_KEY, FINE_SHARES})

    def __init__(
        self,
        catalog: str,
        prefix: str,
        schema: str = "ml_platform",
        lookup: Literal["endpoint", "caller"] = "caller",
        environment: Mapping[str, str] | None = None,
        scale_to_zero: bool = False,
        max_seconds: float = 1800,
        poll_seconds: float = 5,
    ) -> None:
        self.lookup = lookup
        self._model = f"{catalog}.{schema}.{prefix}-"
        self._prefix = prefix
        self._scale_to_zero = scale_to_zero
        self._endpoints = ServingEndpoints(Workspace(), prefix, environment or {}, max_seconds, poll_seconds)
        self._bundles: dict[str, Bundles] = {}

    def deploy(self, spec: EndpointSpec) -> Revision:
        """As the role promises; what a service rolls back in silence is an error, and nothing in use is deleted.

        A change that somebody began and left is waited for first. A version whose server has all of it loaded already
        keeps that server.
        """
        require_able(spec, self)
        spec = replace(spec, lookup=self.lookup)
        size, shares = workload_size(spec.needs), _percentages(spec)
        name, bundles = self._full(spec.name), self._held(spec.name)
        self._endpoints.settled(name)
        standing = self._endpoints.find(name)
        if not (standing and self._serves(spec, name, shares)):
            revisions = bundles.revisions()
            number = max(revisions.values(), default=0) + 1
            stays = self._loaded(spec, standing, shares)
            added = self._added(spec, number, shares.keys() - stays.keys())
            try:
                bundles.renumber(stays.values(), number)
                self._configure(spec, name, number, stays | added, size)
            except BaseException:
                self._undo(name, bundles, added.values(), first=not (standing and standing.ready))
                for one in stays.values():
                    bundles.renumber([one], revisions[one])
                raise
            kept = {number, max(revisions.values(), default=number)}
            old = [held for held, of in revisions.items() if of not in kept]
            bundles.discard([held for held in old if held not in stays.values()])
        revision = self.describe(spec.name)
        if revision is None:
            raise ServiceError(f"endpoint {spec.name} does not serve, but it was deployed a moment ago")
        return revision

    def describe(self, name: str) -> Revision | None:
        """As the role promises: shares by the endpoint's routes, the rest by its servers' own answers."""
        found = self._endpoints.find(self._full(name))
        if found is None or not found.ready:
            return None
        answers = [self._answer(name, entity, {"describe": True}) for entity in found.entities]
        shares = {_version(entity): share / 100 for entity, share in found.shares.items()}
        digests = {model: package for answer in answers for model, package in answer["digests"].items()}
        shadow = next((a["shadow"] for a in answers if a.get("shadow") is not None), None)
        revisions = self._held(name).revisions()
        last = (revisions.get(held, 0) for held in found.entities.values())
        number = max(*last, *(answer["number"] for answer in answers))
        merged = {**answers[0], "number": number, "split": shares, "digests": digests, "shadow": shadow}
        return bundle.revision(merged, found.url)

    def invoke(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the role promises; a version that is named is asked of its own server, where it has one."""
        found = self._endpoints.find(self._full(name))
        if found is None or not found.ready:
            raise NotFoundError(
                f"endpoint {name} is not served, but a request was made to it",
                remedy=f"Materialize endpoints/{name}",
            )
        plain = self._held(name).plain(next(iter(found.entities.values())))
        try:
            body = bundle.completed(plain, request)
        except RequestError as error:
            raise ServiceError(f"the request to endpoint {name} is refused: {error}") from error
        named = f"v{(request.get('parameters') or {}).get('model_version')}"
        return self._answer(name, named if named in found.entities else "", body)

    def retire(self, name: str) -> None:
        """As the role promises; the last bundles stay, so that revisions are numbered on when it is deployed again."""
        self._endpoints.delete(self._full(name))
        revisions = self._held(name).revisions()
        last = max(revisions.values(), default=0)
        self._held(name).discard([held for held, number in revisions.items() if number != last])

    def _loaded(self, spec: EndpointSpec, standing: Found | None, shares: Mapping[int, int]) -> dict[int, str]:
        """Model version → the version of the served model whose server has it loaded as it is to be."""
        if not standing or not standing.ready:
            return {}
        there = [model for model in shares if _entity(model) in standing.entities]
        return {model: standing.entities[_entity(model)] for model in there if self._has(spec, model)}

    def _has(self, spec: EndpointSpec, model: int) -> bool:
        """Whether the server of the model version has loaded what it is to."""
        digests = {one: digest(Path(folder)) for one, folder in spec.packages.items()}
        wanted = bundle.fingerprint(_alone(spec, model), digests)
        return bool(self._answer(spec.name, _entity(model), {"describe": True})["fingerprint"] == wanted)

    def _added(self, spec: EndpointSpec, number: int, models: Collection[int]) -> dict[int, str]:
        """Model version → the version of the served model that was made of it."""
        with TemporaryDirectory() as scratch:
            folders = {model: Path(scratch) / str(model) for model in models}
            for model, folder in folders.items():
                bundle.write(_alone(spec, model), number, folder)
                bundle.check(folder)
            return {model: self._held(spec.name).add(folder, number) for model, folder in folders.items()}

    def _configure(self, spec: EndpointSpec, name: str, number: int, added: Mapping[int, str], size: str) -> None:
        """The endpoint serves what was added, as read back from it. Raises ServiceError where it does not."""
        shares, model = _percentages(spec), self._held(spec.name).full
        entities = [
            Entity(_entity(of), model, held, shares[of], size, self._scale_to_zero) for of, held in added.items()
        ]
        self._endpoints.configure(name, entities)
        if not self._serves(spec, name, shares):
            raise ServiceError(
                f"revision {number} of endpoint {spec.name} was deployed, but it is not what serves",
                remedy="Databricks has rolled it back: its event log says why; then deploy again",
            )

    def _undo(self, name: str, bundles: Bundles, added: Any, *, first: bool) -> None:
        """Where nothing served, nothing is left; a failed change leaves what serves, and what may yet be in use."""
        if first:
            self._endpoints.delete(name)
        found = self._endpoints.find(name)
        used = {*found.entities.values(), *found.pending} if found else set()
        bundles.discard([held for held in added if held not in used])

    def _serves(self, spec: EndpointSpec, name: str, shares: Mapping[int, int]) -> bool:
        """Whether the endpoint serves the spec, by its routes and by its servers' own answers."""
        found = self._endpoints.find(name)
        if not found or not found.ready or found.shares != {_entity(model): share for model, share in shares.items()}:
            return False
        return all(self._has(spec, model) for model in shares)

    def _answer(self, name: str, entity: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a body. entity: who is to give it; empty for whoever the routes choose."""
        told = json.loads(self._endpoints.invoke(self._full(name), entity, json.dumps(body)))
        if told["status"] != 200:
            kind: type[PlatformError] = TransientServiceError if told["status"] == 503 else ServiceError
            raise kind(
                f"the answer of endpoint {name} is {told['status']}, but not a prediction: {told['answer']['error']}"
            )
        return dict(told["answer"])

    def _held(self, name: str) -> Bundles:
        if name not in self._bundles:
            self._bundles[name] = Bundles(f"{self._model}{name}__served", self._prefix)
        return self._bundles[name]

    def _full(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ServiceError(
                f"the endpoint is {name!r}, but its name becomes one of Model Serving's",
                allowed="A name is lower-case letters, digits and _ and opens with a letter",
            )
        return f"{self._prefix}-{name}"


def _alone(spec: EndpointSpec, model: int) -> EndpointSpec:
    """What the served entity of one model version serves; requests go to any of them, so that all take the same."""
    return replace(spec, split=TrafficSplit({model: 1.0}), shadow=None if model == spec.shadow else spec.shadow)


def _percentages(spec: EndpointSpec) -> dict[int, int]:
    shares = {model: round(share * 100) for model, share in spec.split.shares.items()}
    exact = all(abs(share * 100 - shares[model]) < 1e-9 for model, share in spec.split.shares.items())
    if not exact:
        raise ServiceError(
            f"the traffic split of endpoint {spec.name} is {dict(spec.split.shares)}, but routes have whole percents",
            allowed="Shares of 0.01 and its multiples",
        )
    return shares


def _entity(model: int) -> str:
    return f"v{model}"


def _version(entity: str) -> int:
    return int(entity.removeprefix("v"))


if TYPE_CHECKING:
    _: type[EndpointHost] = DatabricksEndpointHost
