"""A project of one's own declarations: written into a folder, bound to embedded services, run in this process."""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetNode

from ml_platform import binding
from ml_platform.automation import range_tags
from ml_platform.console import reason
from ml_platform.definitions import build_definitions
from ml_platform.roles.lakehouse import Lakehouse

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Ran:
    """What became of a run.

    said: asset key → what its materialization says, its metadata as plain values.
    partitions: asset key → partition → the same for each partition of it.
    data_versions: asset key → data version. checks: asset key → its checks.
    failures: asset key → what was raised, as a person reads it.
    """

    success: bool
    said: Mapping[str, Mapping[str, Any]]
    partitions: Mapping[str, Mapping[str, Mapping[str, Any]]]
    data_versions: Mapping[str, str]
    checks: Mapping[str, tuple[dg.AssetCheckEvaluation, ...]]
    failures: Mapping[str, str]


class Project:
    """A package of declarations in a folder of its own, with embedded services whose state is there too.

    folder: an empty folder. files: path inside the package → text, for instance `silver/orders/defs.yaml`.
    environment: the environment's name. keeps: its instance writes what happens into files of the folder.
    """

    def __init__(
        self, folder: Path, files: Mapping[str, str], environment: str = "test", *, keeps: bool = False
    ) -> None:
        self.keeps = keeps
        self.name = f"project_{uuid.uuid4().hex[:12]}"
        self.root = folder / self.name
        self._folder = folder
        self.services = embedded_services(folder / "home", environment)
        for path, text in {"__init__.py": '"""What is declared."""\n', **files}.items():
            self.write(path, text)

    @classmethod
    def standing(cls, package: Path, home: Path, environment: str = "test") -> Project:
        """The project whose package and services' state stand there already, for another process than who made it."""
        project = cls.__new__(cls)
        project.keeps, project.name, project.root, project._folder = False, package.name, package, package.parent
        project.services = embedded_services(home, environment)
        return project

    @property
    def lakehouse(self) -> Lakehouse:
        """Where its tables and files are."""
        made: Lakehouse = self.service("lakehouse")
        return made

    def service(self, role: str) -> Any:
        """The service that plays a role in it."""
        return binding.build(self.services[role])

    def write(self, path: str, text: str) -> None:
        """A file of the package holds the text; definitions are loaded anew when they are next asked for."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        self.__dict__.pop("definitions", None)

    def change(self, path: str, old: str, new: str) -> None:
        """A file of the package has one text in place of another, which has to be there."""
        text = (self.root / path).read_text()
        if old not in text:
            raise ValueError(f"{path} does not hold {old!r}")
        self.write(path, text.replace(old, new))

    def land(self, key: str, path: str, text: str) -> Path:
        """A file stands among the landed files of an asset key."""
        target = Path(self.lakehouse.files(key).uri) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """The instance that its runs are on; it keeps what happened for as long as the project lives."""
        if self.keeps:
            (self._folder / "dagster").mkdir(exist_ok=True)
            return dg.DagsterInstance.local_temp(str(self._folder / "dagster"), {"telemetry": {"enabled": False}})
        return dg.DagsterInstance.ephemeral(tempdir=str(self._folder / "dagster"))

    @cached_property
    def definitions(self) -> dg.Definitions:
        """What is declared now, bound. Raises what loading raises."""
        return build_definitions(self.module, self.services)

    @property
    def module(self) -> ModuleType:
        """The package, imported."""
        if self.name not in sys.modules:
            file = self.root / "__init__.py"
            spec = importlib.util.spec_from_file_location(self.name, file, submodule_search_locations=[str(self.root)])
            if spec is None or spec.loader is None:
                raise ImportError(f"{file} cannot be imported")
            sys.modules[self.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[self.name])
        return sys.modules[self.name]

    def node(self, key: str) -> BaseAssetNode:
        """An asset as the graph has it: its group, owners, kinds, dependencies, code version."""
        return self.definitions.resolve_asset_graph().get(dg.AssetKey(key.split("/")))

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The rows of a table now, in the order of its files."""
        from ml_platform.engine import delta

        found: list[dict[str, Any]] = delta.read_rows(delta.existing(self.lakehouse.table(key))).to_pylist()
        return found

    def version(self, key: str) -> int:
        """The version at which a table stands."""
        from ml_platform.engine import delta

        return delta.existing(self.lakehouse.table(key)).version

    def run(self, select: str = "*", partitions: str = "") -> Ran:
        """What became of the selected assets, made in one run.

        select: Dagster's selection syntax. partitions: `first...last`; empty where nothing selected is partitioned.
        """
        graph = self.definitions.resolve_asset_graph()
        keys = dg.AssetSelection.from_string(select).resolve(graph)
        return self.materialize(keys, partitions)

    def materialize(self, keys: Collection[dg.AssetKey], partitions: str = "") -> Ran:
        """What became of these assets, made in one run; partitions as for `run`."""
        first, _, last = partitions.partition("...")
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=sorted(keys),
            tags=range_tags(first, last or first) if partitions else {},
            run_config=_QUIET,
            raise_on_error=False,
        )
        return _ran(result)


def embedded_services(home: Path, environment: str = "test") -> dict[str, binding.Binding]:
    """Role → embedded service that keeps its state below the folder, whatever profile is in force."""
    return services_of({"ML_PLATFORM_HOME": str(home), "ML_PLATFORM_ENV": environment})


def services_of(environment: Mapping[str, str]) -> dict[str, binding.Binding]:
    """Role → service, as these variables bind it and no other `ML_PLATFORM_…` of this process."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ML_PLATFORM_")}
    with patch.dict(os.environ, {**outside, **environment}, clear=True):
        bound = binding.bindings()
        return {role: replace(it, settings=binding.resolved(binding.build(it)).settings) for role, it in bound.items()}


def _ran(result: dg.ExecuteInProcessResult) -> Ran:
    said: dict[str, Mapping[str, Any]] = {}
    partitions: dict[str, dict[str, Mapping[str, Any]]] = {}
    versions: dict[str, str] = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key:
            made, key = event.step_materialization_data.materialization, event.asset_key.to_user_string()
            said[key] = {name: value.value for name, value in made.metadata.items()}
            versions[key] = str((made.tags or {}).get("dagster/data_version"))
            if made.partition:
                partitions.setdefault(key, {})[made.partition] = said[key]
    checks: dict[str, tuple[dg.AssetCheckEvaluation, ...]] = {}
    for check in result.get_asset_check_evaluations():
        key = check.asset_key.to_user_string()
        checks[key] = (*checks.get(key, ()), check)
    failures = {
        str(event.step_key).replace("__", "/", 1): reason(event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure
    }
    return Ran(bool(result.success), said, partitions, versions, checks, failures)
