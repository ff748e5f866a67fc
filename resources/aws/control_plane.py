"""SageMaker's control plane as one environment uses it: what it makes carries our tag, and nothing else is touched."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from ml_platform.errors import NotFoundError, ServiceError
from resources.aws import sdk
from resources.aws.sdk import ENVIRONMENT, TakenError

_MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class ControlPlane:
    """Calls that may be made twice, and waits that end.

    prefix: the environment's, which is the value of the tag. poll_seconds, wait_seconds: between two looks at a change,
    and how long one may take.
    """

    def __init__(self, prefix: str, region: str, poll_seconds: float, wait_seconds: float) -> None:
        self.prefix, self._region = prefix, region
        self._poll_seconds, self._wait_seconds = poll_seconds, wait_seconds

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """The answer to one call. operation: as the client spells it."""
        return sdk.call(self._client, operation, **request)

    def create(self, what: str, **request: Any) -> None:
        """It stands; where it stood already, by our own call whose answer was lost: no name is used twice."""
        with contextlib.suppress(TakenError):
            self.call(f"create_{what}", **request, Tags=[{"Key": ENVIRONMENT, "Value": self.prefix}])

    def update(self, look: Callable[[], dict[str, Any] | None], noun: str, operation: str, **request: Any) -> None:
        """It is being changed. look, noun: as `settled` has them."""
        try:
            self.call(operation, **request)
        except ServiceError:
            # It is being changed already where the answer to our own call was lost.
            if not moving(look(), noun):
                raise

    def ours(self, operation: str, noun: str, name: str) -> dict[str, Any] | None:
        """What SageMaker says of it; None where there is none. Raises ServiceError where it is not ours."""
        try:
            found = self.call(operation, **{f"{noun}Name": name})
            self.require_ours(found[f"{noun}Arn"])
        except NotFoundError:
            return None
        return found

    def settled(self, look: Callable[[], dict[str, Any] | None], noun: str) -> dict[str, Any] | None:
        """What a look says, once it is not being changed; None where there is none.

        noun: as SageMaker's fields have it, for instance Endpoint. Raises ServiceError where that takes too long.
        """
        deadline = time.monotonic() + self._wait_seconds
        while moving(found := look(), noun):
            if time.monotonic() > deadline and found:
                raise ServiceError(
                    f"{_said(noun)} {found[f'{noun}Name']} is {found[f'{noun}Status']} after {self._wait_seconds:g} "
                    "seconds, but is to settle",
                    remedy="Look at it in SageMaker's console, then deploy again: it is taken up as it stands then",
                )
            time.sleep(self._poll_seconds)
        return found

    def names(self, operation: str, noun: str, **request: Any) -> list[str]:
        """The names of all that a listing call finds."""
        with sdk.told():
            pages = self._client.get_paginator(operation).paginate(**request)
            return [one[f"{noun}Name"] for page in pages for one in page[f"{noun}s"]]

    def tags(self, arn: str) -> Mapping[str, str]:
        """The tags of a resource."""
        return sdk.tags(self._client, arn)

    def require_ours(self, arn: str) -> None:
        """Returns where the resource carries our tag. Raises ServiceError where it does not."""
        if self.tags(arn).get(ENVIRONMENT) != self.prefix:
            raise ServiceError(
                f"{arn} stands without the tag {ENVIRONMENT}={self.prefix}, but has our name",
                remedy="It is somebody else's: name the environment or the endpoint otherwise",
            )

    def last_words(self, log_group: str, begun: float) -> str:
        """The last line that a container has printed since then, in seconds since 1970."""
        logs = sdk.client("logs", self._region)
        try:
            with sdk.told():
                asked = {"logGroupName": log_group, "startTime": int(begun * 1000)}
                pages = logs.get_paginator("filter_log_events").paginate(**asked)
                lines = [event["message"].strip() for page in pages for event in page["events"]]
        except NotFoundError:
            return ""
        return next((line for line in reversed(lines) if line), "")

    @cached_property
    def _client(self) -> Any:
        return sdk.client("sagemaker", self._region)


def moving(found: Mapping[str, Any] | None, noun: str) -> bool:
    """Whether it is being changed."""
    return bool(found) and (found or {})[f"{noun}Status"] in _MOVING


def _said(noun: str) -> str:
    """
    >>> _said("InferenceComponent")
    'inference component'
    """
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in noun).strip()
