"""The shop: a small project that stands unmade for each test, and one that was made twice for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[shops.Made]:
    project = shops.project(tmp_path_factory.mktemp("made"))
    try:
        first = project.run("*", shops.EVERYTHING)
        yield shops.Made(project, first, project.run("*", shops.EVERYTHING))
    finally:
        project.service("endpoint_host").retire("returns")


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return shops.project(tmp_path)
