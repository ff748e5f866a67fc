from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, write_package
from resources.databricks.bundles import Bundles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    service = ServiceBinding("nowhere", "Nothing")
    spec = endpoint_spec({1: write_package(tmp_path / "package", rate=0.25)}, service, service)
    bundle.write(spec, 3, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_is_a_version_that_knows_its_revision(catalog: str, prefix: str, folder: Path) -> None:
    bundles = Bundles(f"{catalog}.ml_platform.{prefix}-late__served", prefix)
    assert bundles.revisions() == {}
    first, second = bundles.add(folder, 3), bundles.add(folder, 4)
    assert bundles.revisions() == {first: 3, second: 4}
    assert bundles.plain(first)["name"] == "arrival_delay"
    bundles.renumber([first], 5)
    assert bundles.revisions() == {first: 5, second: 4}
    bundles.discard([first])
    assert bundles.revisions() == {second: 4}
