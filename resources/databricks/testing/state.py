"""What the parts of the stand-in of a workspace share."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.testing.faults import Faults
from resources.aws.testing.s3 import S3
from resources.databricks.edge import VOLUMES
from resources.databricks.testing.protocol import invalid

if TYPE_CHECKING:
    from resources.databricks.testing.uc_models import UcModels

USER_TOKEN = "dapi-nobody"  # noqa: S105 - nobody's
JOB_TOKEN = "dapi-nobodys-job"  # noqa: S105 - nobody's
LENT = "lent-for-a-while-"  # how every secret that is lent begins
SECRET = "{{secrets/ml_platform/token}}"  # noqa: S105 - a reference
_REFERENCE = re.compile(r"\{\{secrets/([^/}]+)/([^/}]+)\}\}")


@dataclass(frozen=True)
class Grant:
    """A credential that was lent. prefix: `bucket/path` that it opens; ends: in seconds of the epoch."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    prefix: str
    write: bool
    ends: float


@dataclass
class State:
    """The workspace, as its parts see it.

    folder: of everything that it keeps on disk. store: where its external locations lie.
    tokens: bearer token → who it is. secrets: (scope, key) → value.
    locations: external location → `s3://` URL. lifetime_seconds: of the credentials that are lent.
    models: the registered models, for whoever serves them. closing: called when the workspace ends.
    """

    folder: Path
    store: S3
    faults: Faults = field(default_factory=Faults)
    tokens: dict[str, str] = field(default_factory=lambda: {USER_TOKEN: "nobody@localhost", JOB_TOKEN: "job@localhost"})
    secrets: dict[tuple[str, str], str] = field(default_factory=lambda: {("ml_platform", "token"): JOB_TOKEN})
    locations: dict[str, str] = field(default_factory=dict)
    lifetime_seconds: float = 3600.0
    grants: dict[str, Grant] = field(default_factory=dict)
    models: UcModels | None = None
    closing: list[Callable[[], None]] = field(default_factory=list)

    @property
    def machine(self) -> Path:
        """The folder that is the whole of what containers see: volumes, and a folder of its own for each of them."""
        return self.folder / "machine"

    @property
    def volumes(self) -> Path:
        """Where `/Volumes` lies."""
        return self.machine / "Volumes"

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """A container's variables: those given, references to secrets resolved, and where `/Volumes` is mounted."""
        resolved = {name: self._resolved(value) for name, value in given.items()}
        return {**resolved, VOLUMES: str(self.volumes)}

    def lend(self, url: str, write: bool) -> Grant:
        """A new credential for everything under the URL."""
        path = url.removeprefix("s3://").rstrip("/")
        ends = time.time() + self.lifetime_seconds
        key, secret, token = (secrets.token_hex(size) for size in (8, 20, 32))
        grant = Grant(f"ASIA{key.upper()}", LENT + secret, LENT + token, path, write, ends)
        self.grants[grant.access_key_id] = grant
        return grant

    def _resolved(self, value: str) -> str:
        def secret(match: re.Match[str]) -> str:
            if match.groups() not in self.secrets:
                raise invalid(f"Secret does not exist with scope: {match[1]} and key: {match[2]}")
            return self.secrets[match[1], match[2]]

        return _REFERENCE.sub(secret, value)
