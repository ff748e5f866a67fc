"""The revisions of endpoints in the bucket: their bundles, and numbers that are never given twice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_platform.errors import TransientServiceError
from ml_platform.records.endpoint import EndpointSpec
from resources.aws.bucket import Bucket

_SPEC = "endpoint.json"


class Revisions:
    """Bundles are below `<prefix>/endpoints/<name>/<number>/`; they stay, so that revisions are numbered on."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def next(self, name: str) -> int:
        """The number that comes next."""
        return max((int(number) for number in self._bucket.folders(self._home(name))), default=0) + 1

    def claim(self, name: str, number: int) -> None:
        """The number is ours, and is never given again. Raises TransientServiceError where somebody else has it."""
        if not self._bucket.put_new(f"{self._home(name)}{number}/number", str(number).encode()):
            raise TransientServiceError(
                f"revision {number} of endpoint {name} is to be deployed, but somebody else just began to",
                remedy="Deploy again when that has ended",
            )

    def upload(self, name: str, number: int, parts: Mapping[str, EndpointSpec]) -> dict[str, str]:
        """Part → S3 URI of its bundle, the number claimed. Raises ServiceError for what cannot be served."""
        from ml_platform.jobs.serving import bundle

        home = f"{self._home(name)}{number}"
        with tempfile.TemporaryDirectory() as scratch:
            for part, spec in parts.items():
                bundle.write(spec, number, Path(scratch) / part)
                bundle.check(Path(scratch) / part)
            self.claim(name, number)
            self._bucket.upload(Path(scratch), home)
        return {part: self._bucket.uri(f"{home}/{part}/") for part in parts}

    def spec(self, name: str, number: int, part: str) -> dict[str, Any]:
        """The content of a bundle's `endpoint.json`."""
        found: dict[str, Any] = json.loads(self._bucket.get(f"{self._home(name)}{number}/{part}/{_SPEC}"))
        return found

    def _home(self, name: str) -> str:
        return f"{self._prefix}/endpoints/{name}/"
