"""The terms that a model version is served on: package, feature views and what a request carries, moved together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ml_platform.engine.rollout import Target
from ml_platform.records.feature import FeatureView


@dataclass(frozen=True)
class Terms:
    """What is rolled out, and gone back to, as a whole.

    digest: of the package, which has the pre-processing. request, views: as an EndpointSpec has them.
    """

    version: int
    digest: str
    request: Mapping[str, str]
    views: tuple[FeatureView, ...]

    @property
    def target(self) -> Target:
        """The version by its number, and by a digest of everything here."""
        plain = json.dumps(self.plain(), sort_keys=True)
        return Target(self.version, hashlib.sha256(plain.encode()).hexdigest()[:32])

    def beside(self, other: Terms) -> Terms | None:
        """This version on terms that suit the other as well; None where one server cannot have both at once.

        They have to be two versions that take the same request, and no column may come from two views.
        """
        merged = (*self.views, *(view for view in other.views if view not in self.views))
        features = [name for view in merged for name in (*view.features,)]
        names = [view.name for view in merged]
        clash = len({*features}) < len(features) or len({*names}) < len(names)
        if self.version == other.version or dict(self.request) != dict(other.request) or clash:
            return None
        return Terms(self.version, self.digest, self.request, merged)

    def plain(self) -> dict[str, Any]:
        """The terms as JSON can say them; `read` gives them again."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Self:
        """The terms that `plain` wrote."""
        views = (
            FeatureView(**{**view, "entity": tuple(view["entity"]), "features": tuple(view["features"])})
            for view in plain["views"]
        )
        return cls(int(plain["version"]), str(plain["digest"]), dict(plain["request"]), tuple(views))
