"""What is declared of an endpoint's log: for how long it is kept, and what of it is never written in the clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg
from pydantic import Field

from ml_platform.components.asset import place
from ml_platform.components.domain import domain_of
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.feature import FeatureView
from ml_platform.records.table import Location
from ml_platform.roles.prediction_log import PredictionLog


class DeclaredLog(dg.Resolvable, dg.Model):
    """The log of an endpoint; labels that come later than its retention find no prediction any more."""

    retention_days: float | None = Field(
        default=None, gt=0, description="Days after which a served row is gone; it stays for good without it."
    )
    redact: list[str] = Field(
        default=[],
        description="Columns, of the request or looked up, that the log has only as keyed hashes; the secret is "
        "ML_PLATFORM_REDACTION_KEY. What is computed of them at request time is hidden with them.",
    )

    def require(
        self, context: dg.ComponentLoadContext, request: Iterable[str], views: Mapping[str, FeatureView]
    ) -> None:
        """Returns where every column that is to be hidden is one that the log would have."""
        given = [*request, *(feature for view in views.values() for feature in view.features)]
        for name in self.redact:
            if name not in given:
                raise DeclarationError(
                    f"{place(context)}: log is to redact {name!r}, but neither the request nor a view gives it",
                    allowed=nearest(name, given),
                )

    def upkeep_days(self, context: dg.ComponentLoadContext) -> float | None:
        """For how long old versions of its table stay, which hold rows that are gone: no longer than the rows may."""
        domain = domain_of(context.path).retention_days
        return domain if self.retention_days is None else min(domain, self.retention_days)

    def keep(self, name: str, table: Location, log: PredictionLog) -> None:
        """Rows that were served before the retention are gone, from the log and from its table."""
        if self.retention_days is None:
            return
        from datetime import UTC, datetime, timedelta

        from ml_platform.engine.logged import expire

        # By the real clock, as the server wrote its moments, whatever moment a replay is at.
        expire(name, table, log, datetime.now(UTC) - timedelta(days=self.retention_days))
