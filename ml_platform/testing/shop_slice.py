"""The slice of the shop that a lakehouse has to carry: from its files to its champion's predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.binding import Binding
from ml_platform.engine import delta
from ml_platform.metadata import OUTCOME, UNCHANGED
from ml_platform.testing import shop
from ml_platform.testing.project import Project

EVERYTHING_BUT_THE_ENDPOINT = '+key:"predictions/returns" or +group:gold'


class ShopSliceContract:
    """What the shop keeps wherever its lakehouse is. Inherit it and supply the `binding` of the role."""

    @pytest.fixture
    def bound(self) -> Binding:
        """The lakehouse, holding nothing; every other service is embedded."""
        raise NotImplementedError

    @pytest.fixture
    def project(self, bound: Binding, tmp_path: Path) -> Project:
        """The shop with its files landed in that lakehouse."""
        project = Project(tmp_path, shop.FILES)
        project.services["lakehouse"] = bound
        shop.land(project.lakehouse)
        return project

    def test_the_shop_is_made_once_and_is_unchanged_the_second_time(self, project: Project) -> None:
        first = project.run(EVERYTHING_BUT_THE_ENDPOINT, shop.EVERYTHING)
        assert first.success, first.failures
        assert len(project.rows("silver/orders")) == len(shop.MONTHS) * shop.ORDERS_A_MONTH
        assert len(project.rows("predictions/returns")) == shop.ORDERS_A_MONTH
        versions = {key: project.version(key) for key in first.said if delta.snapshot(project.lakehouse.table(key))}

        again = project.run(EVERYTHING_BUT_THE_ENDPOINT, shop.EVERYTHING)

        assert again.success, again.failures
        assert {key: said.get(OUTCOME) for key, said in again.said.items()} == dict.fromkeys(first.said, UNCHANGED)
        assert {key: project.version(key) for key in versions} == versions
