"""The shop: a small project, unmade for each test, or made once for all of them as far as they need it."""

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


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = shops.project(tmp_path_factory.mktemp("tables"))
    ran = project.run("group:bronze or group:silver or group:features", shops.EVERYTHING)
    assert ran.success, ran.failures
    return project


@pytest.fixture
def tables(_tables: Project) -> Iterator[Project]:
    """The shop with its tables made and no model; what a test declares otherwise is forgotten after it."""
    yield _tables
    for path, text in shops.FILES.items():
        _tables.write(path, text)


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return shops.project(tmp_path)
