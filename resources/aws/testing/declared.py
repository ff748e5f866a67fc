"""What only stands there: models and endpoint configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from resources.aws.testing.account import LISTED, Account, offered, page
from resources.aws.testing.service_model import Refusal


class Declared:
    """Resources that only stand there, models or endpoint configurations: created, described, listed, deleted."""

    def __init__(self, account: Account, noun: str, taken: Sequence[str]) -> None:
        self._account, self._noun, self._taken = account, noun, (f"{noun}Name", "Tags", *taken)
        self._kind = {"Model": "model", "EndpointConfig": "endpoint-config"}[noun]
        self.requests: dict[str, Mapping[str, Any]] = {}
        self._created: dict[str, datetime] = {}

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It stands."""
        offered(request, *self._taken)
        name, arn = self._named(request)
        if name in self.requests:
            raise Refusal("ValidationException", f'Cannot create already existing {self._kind} "{arn}".')
        self._account.tag(arn, request.get("Tags", []))
        self.requests[name], self._created[name] = request, datetime.now(UTC)
        return {f"{self._noun}Arn": arn}

    def describe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It as it was created."""
        name = self.found(request)
        given = {key: value for key, value in self.requests[name].items() if key != "Tags"}
        return given | {f"{self._noun}Arn": self._named(request)[1], "CreationTime": self._created[name]}

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the request asks for."""
        offered(request, *LISTED)
        names = ({f"{self._noun}Name": name} for name in self.requests)
        kept = (f"{self._noun}Name", f"{self._noun}Arn", "CreationTime")
        found, more = page([{key: self.describe(name)[key] for key in kept} for name in names], request, self._noun)
        return {f"{self._noun}s": found, **more}

    def delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """It is gone."""
        name = self.found(request)
        self._account.forget(self._named(request)[1])
        del self.requests[name], self._created[name]
        return {}

    def found(self, request: Mapping[str, Any]) -> str:
        """The name that the request has. Raises Refusal where nothing stands under it."""
        name, arn = self._named(request)
        if name not in self.requests:
            raise Refusal("ValidationException", f'Could not find {self._kind.replace("-", " ")} "{arn}".')
        return name

    def _named(self, request: Mapping[str, Any]) -> tuple[str, str]:
        name = request[f"{self._noun}Name"]
        return name, self._account.arn(self._kind, name)
