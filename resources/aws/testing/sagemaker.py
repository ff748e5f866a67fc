"""A stand-in for Amazon SageMaker, its runtime and the logs of its containers, as one server on loopback.

As a program, `python -m resources.aws.testing.sagemaker S3_ADDRESS TOLD` prints its address and serves until its input
ends; what it is told is kept in the folder TOLD.
"""

from __future__ import annotations

import base64
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ml_platform.testing import faults
from ml_platform.testing.faults import FAULTS, Fault
from ml_platform.testing.stand_in import serve
from ml_platform.testing.told import Told
from resources.aws.testing.account import ACCOUNT, REGION, Account
from resources.aws.testing.components import Components
from resources.aws.testing.declared import Declared
from resources.aws.testing.endpoints import Endpoints
from resources.aws.testing.jobs import Jobs
from resources.aws.testing.service_model import Refusal, check_answer, check_request, operation

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_SERVICES = {"SageMaker": "sagemaker", "Logs_20140328": "logs"}
_MODEL = ("PrimaryContainer", "ExecutionRoleArn")
_TROUBLE: Mapping[Fault, Refusal] = {
    "throttled": Refusal("ThrottlingException", "Rate exceeded"),
    "broken": Refusal("InternalFailure", "The request processing has failed because of an unknown error.", 500),
    "expired": Refusal("ExpiredTokenException", "The security token included in the request is expired"),
    "denied": Refusal(
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/nobody/session is not authorized to perform this action because no "
        "identity-based policy allows it",
    ),
}

Operation = Callable[[Mapping[str, Any]], dict[str, Any]]


class SageMaker:
    """The control plane: operations by their names, each as botocore's service model has it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.training, self.processing = Jobs(account, "Training"), Jobs(account, "Processing")
        models = Declared(account, "Model", _MODEL)
        configs = Declared(account, "EndpointConfig", ("ProductionVariants", "ExecutionRoleArn"))
        self.endpoints = Endpoints(account, models, configs)
        self.components = Components(account, models, self.endpoints)
        self.endpoints.shared = self.components.on
        self._operations: dict[str, Operation] = {
            "AddTags": self._add_tags,
            "ListTags": lambda request: {"Tags": account.tags(request["ResourceArn"])},
            "FilterLogEvents": self._filter_log_events,
            "GetLogEvents": self._get_log_events,
            "StopTrainingJob": self.training.stop,
            "StopProcessingJob": self.processing.stop,
            "UpdateEndpoint": self.endpoints.update,
            "UpdateEndpointWeightsAndCapacities": self.endpoints.weigh,
            "UpdateInferenceComponent": self.components.update,
        }
        played: Mapping[str, Any] = {"TrainingJob": self.training, "ProcessingJob": self.processing, "Model": models}
        served = {"EndpointConfig": configs, "Endpoint": self.endpoints, "InferenceComponent": self.components}
        for noun, part in {**played, **served}.items():
            for verb, done in (("Create", part.create), ("Describe", part.describe)):
                self._operations[f"{verb}{noun}"] = done
            self._operations[f"List{noun}s"] = part.list
            if not isinstance(part, Jobs):
                self._operations[f"Delete{noun}"] = part.delete
        self._models = models

    def call(self, target: str, body: bytes) -> dict[str, Any]:
        """The answer to one request of the JSON protocol. target: service and operation. Raises Refusal."""
        service, _, name = target.partition(".")
        model = operation(_SERVICES.get(service, "sagemaker"), name)
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refusal("SerializationException", f"The body is not JSON: {error}") from error
        check_request(model, request)
        if name not in self._operations:
            raise Refusal("UnknownOperationException", f"{name} is not offered by this stand-in.")
        with self.account.lock:
            self._check_references(name, request)
            answer = self._operations[name](request)
        check_answer(model, answer)
        return answer

    def end(self) -> None:
        """Nothing that it started runs."""
        for part in (self.training, self.processing, self.endpoints, self.components):
            part.end()

    def _check_references(self, name: str, request: Mapping[str, Any]) -> None:
        """Raises Refusal for a request that names a model, or files of a model, that do not exist."""
        if name == "CreateModel":
            source = request.get("PrimaryContainer", {}).get("ModelDataSource", {}).get("S3DataSource", {})
            if not source or not self.account.has(source["S3Uri"]):
                raise Refusal("ValidationException", f"Could not find model data at {source.get('S3Uri')}.")
        if name == "CreateEndpointConfig":
            for variant in request["ProductionVariants"]:
                if "ModelName" in variant:
                    self._models.found(variant)
                elif "ExecutionRoleArn" not in request:
                    raise Refusal("ValidationException", "ExecutionRoleArn is required for inference components.")

    def _add_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.account.tags(request["ResourceArn"])
        self.account.tag(request["ResourceArn"], request["Tags"])
        return {"Tags": self.account.tags(request["ResourceArn"])}

    def _filter_log_events(self, request: Mapping[str, Any]) -> dict[str, Any]:
        prefix = request.get("logStreamNamePrefix", "")
        names = [name for name in self._streams(request) if name.startswith(prefix)]
        found = [event | {"logStreamName": name} for name in names for event in self._lines(request, name)]
        return {"events": found[: request.get("limit", 10_000)], "searchedLogStreams": []}

    def _get_log_events(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request["logStreamName"] not in self._streams(request):
            raise Refusal("ResourceNotFoundException", "The specified log stream does not exist.")
        events = self._lines(request, request["logStreamName"])
        token = "f/0"  # noqa: S105 - a place in the log
        return {"events": events, "nextForwardToken": token, "nextBackwardToken": token}

    def _streams(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        group = request.get("logGroupName", "")
        if group not in self.account.logs:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return self.account.logs[group]

    def _lines(self, request: Mapping[str, Any], stream: str) -> list[dict[str, Any]]:
        begun, output = self._streams(request)[stream]
        time = int(begun.timestamp() * 1000)
        return [{"timestamp": time, "ingestionTime": time, "message": line} for line in output().splitlines()]


def application(account: Account) -> Starlette:
    """The stand-in as an ASGI application; when it ends, nothing that it started runs."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response
    from starlette.routing import Route

    plane = SageMaker(account)

    async def control(request: Request) -> Response:
        return await run_in_threadpool(_answered, plane, request, await request.body(), _control)

    async def invoke(request: Request) -> Response:
        return await run_in_threadpool(_answered, plane, request, await request.body(), _invoke)

    def inject(request: Request) -> Response:
        fault = request.path_params["fault"]
        if fault not in FAULTS:
            return Response(f"there is no fault {fault}", 404)
        account.faults.set(cast("Fault", fault), int(request.path_params["times"]))
        return Response(status_code=204)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        plane.end()
        shutil.rmtree(account.home, ignore_errors=True)

    return Starlette(
        routes=[
            Route("/", control, methods=["POST"]),
            Route("/endpoints/{name}/invocations", invoke, methods=["POST"]),
            Route(f"{faults.PATH}/{{fault}}/{{times:int}}", inject, methods=["PUT"]),
        ],
        lifespan=lifespan,
    )


def _answered(plane: SageMaker, request: Request, body: bytes, work: Callable[..., Response]) -> Response:
    from starlette.responses import Response

    plane.account.told.keep(request.headers.get("x-amz-target", request.url.path), body)
    try:
        if "Credential=" not in request.headers.get("authorization", ""):
            raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        for fault, trouble in _TROUBLE.items():
            if plane.account.faults.take(fault):
                raise trouble
        return work(plane, request, body)
    except Refusal as refusal:
        content = {"__type": refusal.code, "message": refusal.message, "Message": refusal.message, **refusal.more}
        headers = {"x-amzn-errortype": refusal.code}
        return Response(json.dumps(content), refusal.status, headers, "application/x-amz-json-1.1")


def _control(plane: SageMaker, request: Request, body: bytes) -> Response:
    from starlette.responses import Response

    answer = plane.call(request.headers.get("x-amz-target", ""), body)
    return Response(json.dumps(answer, default=_plain), media_type="application/x-amz-json-1.1")


def _invoke(plane: SageMaker, request: Request, body: bytes) -> Response:
    """The answer of the variant that was asked for, or of one by the weights."""
    from starlette.responses import Response

    model = operation("sagemaker-runtime", "InvokeEndpoint")
    fields = {member.serialization.get("name", ""): name for name, member in model.input_shape.members.items()}
    known = {name.lower(): fields[name] for name in fields if name.lower() in request.headers}
    asked = {field: request.headers[header] for header, field in known.items()}
    name = request.path_params["name"]
    check_request(model, {**asked, "EndpointName": name, "Body": body}, "ValidationError")
    component = asked.get("InferenceComponentName")
    server = (
        plane.components.server(name, component)
        if component
        else plane.endpoints.server(name, asked.get("TargetVariant"))
    )
    headers = {"content-type": asked.get("ContentType", "application/octet-stream")}
    answer = server.answer(body, headers | ({"accept": asked["Accept"]} if "Accept" in asked else {}))
    if answer.is_error:
        group = f"/aws/sagemaker/{f'InferenceComponents/{component}' if component else f'Endpoints/{name}'}"
        raise Refusal(
            "ModelError",
            f'Received error ({answer.status_code}) from primary with message "{answer.text}". See {group}.',
            424,
            OriginalStatusCode=answer.status_code,
            OriginalMessage=answer.text,
            LogStreamArn=f"arn:aws:logs:{REGION}:123456789012:log-group:{group}",
        )
    kind = answer.headers.get("content-type", "application/octet-stream")
    return Response(answer.content, media_type=kind, headers={"x-amzn-invoked-production-variant": server.variant})


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        serve(application(Account(Path(home), sys.argv[1], Told(Path(sys.argv[2])))))
