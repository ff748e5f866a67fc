from __future__ import annotations

import pytest

from ml_platform.binding import in_force
from ml_platform.components.promotion import Promotion
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project


@pytest.mark.parametrize(("environment", "source"), [("dev-ann", None), ("staging", "dev"), ("prod", "staging")])
def test_an_environment_takes_from_the_one_before_it_and_the_first_fits(environment: str, source: str | None) -> None:
    style = Promotion.model_validate({"style": "artefact", "from": {"staging": "dev", "prod": "staging"}})
    with in_force(environment):
        assert style.source() == source


def test_every_environment_fits_by_itself_unless_told(shop: Project) -> None:
    with in_force("prod"):
        assert Promotion().source() is None


@pytest.mark.parametrize(
    ("promotion", "message"),
    [
        ("{style: artefact}", "style artefact says from"),
        ("{from: {prod: staging}}", "style artefact says from"),
        ("{style: artefact, from: {prod: prod}}", "prod would take from itself"),
        (
            "{style: artefact, from: {prod: staging, staging: prod}}",
            "would take from itself, by prod from staging from",
        ),
        ("{style: model}", "promotion.style is 'model', but that cannot be"),
    ],
)
def test_a_style_that_cannot_be_is_refused(shop: Project, promotion: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", "task: binary", f"task: binary\n  promotion: {promotion}")
    with pytest.raises(DeclarationError, match=rf"models/returns/defs.yaml:\d+: .*{message}"):
        _ = shop.definitions
