"""One endpoint of ours on Vertex AI: the models that are deployed to it, its traffic, and what is left to clean up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ml_platform.errors import NotFoundError, ServiceError
from resources.gcp import sdk
from resources.gcp.edge import HEALTH, PREDICT
from resources.gcp.sdk import TakenError, Vertex

_ID_CHARACTERS = 60  # of Vertex AI's 63
_REVISION = "ml_platform_revision"
_COMMAND = ["python", "-m", "resources.gcp.edge", "serve"]


@dataclass(frozen=True)
class Served:
    """What a deployed model is made from. image, bundle: of its container; machine: its machine spec."""

    image: str
    bundle: str
    machine: Mapping[str, Any]
    service_account: str


class VertexEndpoint:
    """The endpoint of a name, which may not be there yet, and its models; labels say whose they are.

    poll_seconds, wait_seconds: between two looks at a change, and how long one may take.
    """

    def __init__(self, vertex: Vertex, prefix: str, name: str, poll_seconds: float, wait_seconds: float) -> None:
        self.vertex, self._prefix, self._name = vertex, prefix, name
        self._poll_seconds, self._wait_seconds = poll_seconds, wait_seconds
        self._labels = {"ml_platform_environment": prefix, "ml_platform_endpoint": name}
        self.resource = f"{vertex.parent}/endpoints/{self._id(name)}"

    def find(self) -> Any | None:
        """The endpoint as the control plane has it; None where it is not there.

        Raises ServiceError where something else has its id: only what carries our labels is adopted.
        """
        get = self.vertex.endpoints.get_endpoint
        try:
            found = sdk.call("aiplatform.endpoints.get", get, name=self.resource)
        except NotFoundError:
            return None
        self._require_ours(found)
        return found

    def traffic(self) -> dict[str, int]:
        """Id of a deployed model → its percentage of the traffic, of those that have any."""
        found = self.find()
        return {key: share for key, share in found.traffic_split.items() if share} if found else {}

    def create(self) -> None:
        """The endpoint is there; one of ours is adopted."""
        endpoint = {"display_name": f"{self._prefix}-{self._name}", "labels": self._labels}
        endpoint_id = self.resource.rpartition("/")[2]
        create = self.vertex.endpoints.create_endpoint
        parent = self.vertex.parent
        try:
            self._done("endpoints.create", create, parent=parent, endpoint=endpoint, endpoint_id=endpoint_id)
        except TakenError:
            if self.find() is None:
                raise

    def deploy(self, called: str, served: Served) -> str:
        """The id of a model that is deployed and healthy, and has no traffic yet. called: what only it is called."""
        dedicated = {"machine_spec": served.machine, "min_replica_count": 1, "max_replica_count": 1}
        deployed = {
            "model": self._uploaded(called, served),
            "display_name": f"{self._prefix}-{called}",
            "dedicated_resources": dedicated,
            "service_account": served.service_account,
        }
        deploy = self.vertex.endpoints.deploy_model
        answer = self._done("endpoints.deploy", deploy, endpoint=self.resource, deployed_model=deployed)
        return str(answer.deployed_model.id)

    def revision(self) -> int:
        """The number that its traffic was last moved under; 0 where there is none."""
        found = self.find()
        return int(found.labels.get(_REVISION, "0")) if found else 0

    def route(self, split: Mapping[str, int], number: int) -> None:
        """The control plane was told to send traffic so, which is revision `number`.

        split: id of a deployed model → percentage; 100 in all.
        """
        labels = {**self._labels, **({_REVISION: str(number)} if number else {})}
        changed = {"name": self.resource, "traffic_split": dict(split), "labels": labels}
        update = self.vertex.endpoints.update_endpoint
        mask = {"paths": ["traffic_split", "labels"]}
        sdk.call("aiplatform.endpoints.update", update, endpoint=changed, update_mask=mask)

    def called(self) -> list[str]:
        """The names of the models that are deployed to it."""
        found = self.find()
        return [str(one.display_name) for one in found.deployed_models] if found else []

    def sweep(self) -> None:
        """Nothing of the endpoint is there that has no traffic: deployed models, models, and the endpoint itself."""
        found = self.find()
        if found:
            self._undeploy([one.id for one in found.deployed_models if not found.traffic_split.get(one.id)])
        self._clean()

    def restore(self, before: Mapping[str, int], number: int) -> None:
        """What had traffic before has it again, and nothing else is there; nothing at all where nothing had any."""
        if not before:
            return self.delete()
        if (self.traffic(), self.revision()) != (before, number):
            self.route(before, number)
        return self.sweep()

    def delete(self) -> None:
        """The endpoint and its models are gone."""
        found = self.find()
        if found:
            shares = {one.id: found.traffic_split.get(one.id, 0) for one in found.deployed_models}
            self._undeploy(sorted(shares, key=lambda one: shares[one]), all_of_them=True)
        self._clean()

    def _undeploy(self, ids: Sequence[str], all_of_them: bool = False) -> None:
        """They are not deployed. all_of_them: no other is, so that whichever is last takes the traffic till then."""
        undeploy = self.vertex.endpoints.undeploy_model
        for position, one in enumerate(ids, 1):
            more = {"traffic_split": {ids[-1]: 100}} if all_of_them and position < len(ids) else {}
            # Where an answer was lost, the next try finds it gone.
            with suppress(NotFoundError):
                self._done("endpoints.undeploy", undeploy, endpoint=self.resource, deployed_model_id=one, **more)

    def _clean(self) -> None:
        """Our models that are not deployed are gone, and so is the endpoint where none is."""
        found = self.find()
        used = {one.model for one in found.deployed_models} if found else set()
        wanted = " AND ".join(f'labels.{label}="{value}"' for label, value in self._labels.items())
        models = self.vertex.models
        listed = sdk.call("aiplatform.models.list", models.list_models, parent=self.vertex.parent, filter=wanted)
        with sdk.told("aiplatform.models.list"):
            unused = [model.name for model in listed if model.name not in used]
        for name in unused:
            with suppress(NotFoundError):
                self._done("models.delete", models.delete_model, name=name)
        if found and not used:
            with suppress(NotFoundError):
                self._done("endpoints.delete", self.vertex.endpoints.delete_endpoint, name=self.resource)

    def _uploaded(self, called: str, served: Served) -> str:
        """The resource name of the model; one of ours is adopted."""
        container = {
            "image_uri": served.image,
            "command": _COMMAND,
            "ports": [{"container_port": 8080}],
            "health_route": HEALTH,
            "predict_route": PREDICT,
        }
        model = {
            "display_name": f"{self._prefix}-{called}",
            "labels": self._labels,
            "container_spec": container,
            "artifact_uri": served.bundle,
        }
        model_id, parent = self._id(called), self.vertex.parent
        upload = self.vertex.models.upload_model
        try:
            done = self._done("models.upload", upload, parent=parent, model=model, model_id=model_id)
        except TakenError:
            name = f"{parent}/models/{model_id}"
            found = sdk.call("aiplatform.models.get", self.vertex.models.get_model, name=name)
            self._require_ours(found)
            return str(found.name)
        return str(done.model)

    def _done(self, permission: str, method: Callable[..., Any], **request: Any) -> Any:
        """What a long-running call gives, once it is done."""
        operation = sdk.call(f"aiplatform.{permission}", method, **request)
        return sdk.done(f"aiplatform.{permission}", operation, self._poll_seconds, self._wait_seconds)

    def _id(self, called: str) -> str:
        from ml_platform.engine.remote_jobs import job_name

        return job_name(self._prefix, called, _ID_CHARACTERS)

    def _require_ours(self, found: Any) -> None:
        if any(found.labels.get(label) != value for label, value in self._labels.items()):
            raise ServiceError(
                f"{found.name} is there, but without the labels of endpoint {self._name} in {self._prefix}",
                allowed="Only what this environment made is adopted",
                remedy="Find out whose it is; remove it, or give this environment another name",
            )
