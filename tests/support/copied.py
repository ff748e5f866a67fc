"""A copy of the shop, made and serving, that a module's tests may spoil; and the command line over it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Copied:
    """home: where everything is that its services keep."""

    project: Project
    home: Path

    def type(self, *command: str) -> Result:
        """What a person gets who types the command."""
        return CliRunner().invoke(main, [*command, "-m", "copied_definitions"])

    def untainted(self, key: str) -> dg.AssetCheckEvaluation:
        """The check of an asset as the UI shows it now."""
        name = dg.AssetCheckKey(dg.AssetKey(key.split("/")), "untainted")
        with dg.DagsterInstance.get() as instance:
            record = instance.event_log_storage.get_latest_asset_check_execution_by_key([name])[name]
        assert record.event is not None
        found = record.event.dagster_event
        assert found is not None
        return found.asset_check_evaluation_data


@contextmanager
def copied(of: Path, into: Path) -> Iterator[Copied]:
    """The copy of a project's folder. It serves what the original serves."""
    shutil.copytree(of / "home", into / "home")
    (into / "instance").mkdir()
    (into / "instance" / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    project = Project(into, FILES, "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(into / "instance"))
        patch.setitem(sys.modules, "copied_definitions", SimpleNamespace(defs=lambda: project.definitions))
        patch.setattr("ml_platform.binding.service", project.service)
        yield Copied(project, into / "home")
