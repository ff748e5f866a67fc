"""What a workspace lends: credentials for an object store that end, in deltalake's spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_platform.errors import ServiceError

PATH_CREDENTIALS = "/api/2.0/unity-catalog/temporary-path-credentials"


def deltalake_options(lent: Mapping[str, Any]) -> dict[str, str]:
    """Temporary credentials of the workspace in deltalake's spelling."""
    aws = lent.get("aws_temp_credentials")
    if not aws:
        raise ServiceError(
            "the workspace lends credentials of another cloud's store, but only those of Amazon S3 are understood",
            remedy="Put the external location into Amazon S3",
        )
    return {f"aws_{name}": aws[name] for name in ("access_key_id", "secret_access_key", "session_token")}
