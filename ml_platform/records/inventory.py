"""An inventory's entries as they travel: what a service keeps for us."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["endpoint", "job", "view"]


@dataclass(frozen=True)
class Owned:
    """Something that carries our environment's tags, and may cost.

    kind: an endpoint that serves, a job that has not ended, a feature view that stands online.
    name: of an endpoint and a view the declared one where it goes by one, else what the service calls it; a job's id.
    since: when it was made, UTC; None where the service does not say.
    """

    kind: Kind
    name: str
    since: datetime | None = None
