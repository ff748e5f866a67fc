"""The errors of the platform, and the one sentence template that they share.

PlatformError
├── DeclarationError      what is written in `assets/` cannot be made
├── BindingError          a profile or an environment does not resolve to services
├── SourceError           a landed file cannot be read as its source declares
├── AuditError            staged data broke a rule; nothing was committed
├── ConflictError         somebody else committed first; a retry can help
├── NotFoundError         a named table, version, model or endpoint does not exist
├── GateRefusedError      no champion stands and the candidate did not pass
└── ServiceError          a service refused or failed
    ├── RefusedError            for who asked: credentials that have ended, or lack a permission
    └── TransientServiceError   the same call may pass later; a retry can help
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

_MOST_NAMES = 60  # that a person reads through


class PlatformError(Exception):
    """A fault told in one template: `<subject> is <value>, but <why>. <What is allowed>. <What to do>.`

    fault: the first sentence, without its full stop; its subject is the name that the reader typed.
    allowed: what would be accepted, one sentence; may be empty.
    remedy: what to do next, one sentence; may be empty.
    """

    retry_helps: ClassVar[bool] = False

    def __init__(self, fault: str, *, allowed: str = "", remedy: str = "") -> None:
        sentences = [part.rstrip(".") for part in (fault, allowed, remedy) if part]
        super().__init__(". ".join(sentences) + ".")


class DeclarationError(PlatformError):
    """Something written in `assets/` cannot be made; the message opens with its file and line."""


class BindingError(PlatformError):
    """A role, a service or one of its settings does not resolve; no value is ever quoted."""


class SourceError(PlatformError):
    """A landed file is missing, damaged or not what its source declares."""


class AuditError(PlatformError):
    """Staged data broke a rule of its table; the table still stands at its last version."""


class ConflictError(PlatformError):
    """Another writer committed first; nothing of ours was written."""

    retry_helps = True


class NotFoundError(PlatformError):
    """A table, version, model, alias or endpoint that was named does not exist."""


class GateRefusedError(PlatformError):
    """A candidate did not pass its gate while no champion stands."""


class ServiceError(PlatformError):
    """A service refused a call or failed at it."""


class RefusedError(ServiceError):
    """A service refused a call for who makes it: the credentials have ended, or lack a permission."""


class TransientServiceError(ServiceError):
    """A service failed in a way that passes by itself."""

    retry_helps = True


def missing_extra(extra: str, error: ImportError) -> BindingError:
    """The error for a service whose SDK is not installed, with the line that installs it."""
    return BindingError(
        f"the service {extra} is bound, but its SDK is not installed ({error})",
        remedy=f"Install it, in the project's folder: pip install -e '.[{extra}]'",
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence that names what is known, the closest match first; of very many the first; empty when nothing is.

    >>> nearest("silver/flight", ["silver/flights", "gold/months"])
    'Did you mean silver/flights? Known are gold/months, silver/flights'
    """
    names = sorted(known)
    if not names:
        return ""
    spelled = {known.lower(): known for known in reversed(names)}
    close = [spelled[one] for one in difflib.get_close_matches(name.lower(), spelled, n=1)]
    more = len(names) - _MOST_NAMES
    listed = f"Known are {', '.join(names[:_MOST_NAMES])}{f' and {more:,} more' if more > 0 else ''}"
    return f"Did you mean {close[0]}? {listed}" if close else listed
