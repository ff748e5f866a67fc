"""Endpoints: their states, and the servers that invocations go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Thread
from typing import Any

from resources.aws.testing.account import ACCOUNT, LISTED, Account, offered, page
from resources.aws.testing.declared import Declared
from resources.aws.testing.servers import Server, chosen, ended, started
from resources.aws.testing.service_model import Refusal

_SETTLED = ("InService", "Failed")


@dataclass
class Endpoint:
    """One endpoint. config: the name of the configuration that serves."""

    name: str
    arn: str
    config: str
    created: datetime
    modified: datetime
    status: str = "Creating"
    reason: str = ""
    variants: Sequence[Mapping[str, Any]] = ()
    servers: Sequence[Server] = field(default_factory=list)


class Endpoints:
    """The endpoints; an update leaves the old servers answering until the new ones are healthy.

    shared: whether inference components stand on an endpoint, which then is not deleted.
    """

    def __init__(self, account: Account, models: Declared, configs: Declared) -> None:
        self._account, self._models, self._configs = account, models, configs
        self._endpoints: dict[str, Endpoint] = {}
        self.shared: Callable[[str], bool] = lambda _: False

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being created."""
        offered(request, "EndpointName", "EndpointConfigName", "Tags")
        name, config = request["EndpointName"], self._configs.found(request)
        arn = self._account.arn("endpoint", name)
        if name in self._endpoints:
            raise Refusal("ValidationException", f'Cannot create already existing endpoint "{arn}".')
        self._account.tag(arn, request.get("Tags", []))
        now = datetime.now(UTC)
        endpoint = self._endpoints[name] = Endpoint(name, arn, config, now, now)
        Thread(target=self._create, args=(endpoint,), daemon=True).start()
        return {"EndpointArn": arn}

    def update(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being updated."""
        offered(request, "EndpointName", "EndpointConfigName")
        endpoint, config = self._settled(request, "update"), self._configs.found(request)
        if config == endpoint.config:
            raise Refusal(
                "ValidationException", f'Cannot update endpoint to the configuration that it uses already, "{config}".'
            )
        endpoint.status = "Updating"
        Thread(target=self._update, args=(endpoint, config), daemon=True).start()
        return {"EndpointArn": endpoint.arn}

    def weigh(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Its traffic is being moved between the servers that run."""
        offered(request, "EndpointName", "DesiredWeightsAndCapacities")
        endpoint = self._settled(request, "update")
        weights = {one["VariantName"]: one["DesiredWeight"] for one in request["DesiredWeightsAndCapacities"]}
        known = {str(variant["VariantName"]): variant["InitialVariantWeight"] for variant in endpoint.variants}
        for name in weights.keys() - known.keys():
            raise Refusal("ValidationException", f'Variant "{name}" does not exist in endpoint "{endpoint.arn}".')
        if sum((known | weights).values()) <= 0:
            raise Refusal("ValidationException", "The sum of the variants' weights must be greater than 0.")
        endpoint.status = "Updating"
        Thread(target=self._weigh, args=(endpoint, weights), daemon=True).start()
        return {"EndpointArn": endpoint.arn}

    def delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is being deleted."""
        endpoint = self._settled(request, "delete")
        if self.shared(endpoint.name):
            raise Refusal("ValidationException", f'Cannot delete endpoint "{endpoint.arn}" with inference components.')
        endpoint.status = "Deleting"
        Thread(target=self._delete, args=(endpoint,), daemon=True).start()
        return {}

    def describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """How it stands, and what it serves."""
        endpoint = self._found(request)
        answer: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
        if endpoint.variants:
            answer["ProductionVariants"] = [_variant(variant) for variant in endpoint.variants]
        return answer | ({"FailureReason": endpoint.reason} if endpoint.reason else {})

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the request asks for."""
        offered(request, *LISTED)
        kept = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        described = (self.describe({"EndpointName": name}) for name in list(self._endpoints))
        found, more = page([{key: each[key] for key in kept} for each in described], request, "Endpoint")
        return {"Endpoints": found, **more}

    def server(self, name: str, variant: str | None) -> Server:
        """The server that an invocation goes to. Raises Refusal where the endpoint does not serve."""
        endpoint = self._endpoints.get(name)
        if endpoint is None or not endpoint.servers:
            raise Refusal("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
        return chosen(endpoint.servers, variant)

    def machines(self, name: str, variant: str) -> tuple[str, int]:
        """Type and greatest number of the machines that inference components of a variant are placed on.

        Raises Refusal where the endpoint is not in service, or has a model of its own.
        """
        endpoint = self._endpoints.get(name)
        if endpoint is None or endpoint.status != "InService":
            raise Refusal("ValidationException", f'Endpoint "{name}" is not InService.')
        found = next((one for one in endpoint.variants if one["VariantName"] == variant), None)
        if found is None or "ModelName" in found:
            raise Refusal("ValidationException", f'Variant "{variant}" of "{name}" takes no inference components.')
        return found["InstanceType"], found.get("ManagedInstanceScaling", {}).get("MaxInstanceCount", 1)

    def end(self) -> None:
        """No container of an endpoint runs."""
        for endpoint in self._endpoints.values():
            ended(endpoint.servers)

    def _create(self, endpoint: Endpoint) -> None:
        try:
            self._serve(endpoint, endpoint.config)
        except Exception as error:
            self._become(endpoint, "Failed", str(error))
        else:
            self._become(endpoint, "InService")

    def _update(self, endpoint: Endpoint, config: str) -> None:
        before = endpoint.servers
        try:
            if self._account.faults.take("rolled_back"):
                ended(self._started(endpoint, config))
            else:
                self._serve(endpoint, config)
                ended(before)
        except Exception as error:
            endpoint.status = "RollingBack"
            self._become(endpoint, "InService", str(error))
        else:
            self._become(endpoint, "InService")

    def _weigh(self, endpoint: Endpoint, weights: Mapping[str, float]) -> None:
        if not self._account.faults.take("rolled_back"):
            with self._account.lock:
                endpoint.servers = [
                    replace(server, weight=weights.get(server.variant, server.weight)) for server in endpoint.servers
                ]
                endpoint.variants = [
                    {**one, "InitialVariantWeight": weights.get(one["VariantName"], one["InitialVariantWeight"])}
                    for one in endpoint.variants
                ]
        self._become(endpoint, "InService")

    def _delete(self, endpoint: Endpoint) -> None:
        ended(endpoint.servers)
        with self._account.lock:
            self._account.forget(endpoint.arn)
            del self._endpoints[endpoint.name]

    def _serve(self, endpoint: Endpoint, config: str) -> None:
        servers = self._started(endpoint, config)
        with self._account.lock:
            endpoint.servers, endpoint.config = servers, config
            endpoint.variants = self._configs.requests[config]["ProductionVariants"]

    def _started(self, endpoint: Endpoint, config: str) -> Sequence[Server]:
        variants = self._configs.requests[config]["ProductionVariants"]
        return started(self._account, f"/aws/sagemaker/Endpoints/{endpoint.name}", variants, self._models.requests)

    def _become(self, endpoint: Endpoint, status: str, reason: str = "") -> None:
        with self._account.lock:
            endpoint.status, endpoint.reason, endpoint.modified = status, reason[:1024], datetime.now(UTC)

    def _found(self, request: Mapping[str, Any]) -> Endpoint:
        endpoint = self._endpoints.get(request["EndpointName"])
        if endpoint is None:
            arn = self._account.arn("endpoint", request["EndpointName"])
            raise Refusal("ValidationException", f'Could not find endpoint "{arn}".')
        return endpoint

    def _settled(self, request: Mapping[str, Any], what: str) -> Endpoint:
        endpoint = self._found(request)
        if endpoint.status not in _SETTLED or (what == "update" and endpoint.status == "Failed"):
            raise Refusal("ValidationException", f'Cannot {what} in-progress endpoint "{endpoint.arn}".')
        return endpoint


def _variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    weight, count = variant.get("InitialVariantWeight", 1.0), variant["InitialInstanceCount"]
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
