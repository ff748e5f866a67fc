"""A model registry in memory, for tests of what uses one; it passes the registry's contract suite."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ml_platform.engine.package import digest, require_no_pickle
from ml_platform.errors import DeclarationError, NotFoundError, ServiceError, TransientServiceError
from ml_platform.records.model import ModelVersion


class MemoryModelRegistry:
    """Keeps versions for as long as it lives.

    calls: the methods that were called, in order. down: while True, every call raises TransientServiceError.
    """

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="registry-"))
        weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)
        self._versions: dict[str, list[ModelVersion]] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self.calls: list[str] = []
        self.down = False

    def register(self, name: str, package: Path, tags: Mapping[str, str]) -> ModelVersion:
        self._called("register")
        _refuse_digest(tags)
        require_no_pickle(package)
        standing = self._versions.setdefault(name, [])
        same = [v for v in standing if "fingerprint" in tags and v.tags.get("fingerprint") == tags["fingerprint"]]
        if same:
            return self._seen(same[0])
        version = ModelVersion(name, len(standing) + 1, digest(package), dict(tags))
        shutil.copytree(package, self._home / name / str(version.number))
        standing.append(version)
        return version

    def names(self) -> Sequence[str]:
        self._called("names")
        return sorted(self._versions)

    def versions(self, name: str) -> Sequence[ModelVersion]:
        self._called("versions")
        return [self._seen(version) for version in self._versions.get(name, [])]

    def version(self, name: str, reference: str) -> ModelVersion | None:
        self._called("version")
        number = self._aliases.get((name, reference), reference)
        found = [v for v in self._versions.get(name, []) if str(v.number) == str(number)]
        return self._seen(found[0]) if found else None

    def move_alias(self, name: str, alias: str, number: int) -> None:
        self._called("move_alias")
        self._standing(name, number)
        self._aliases[name, alias] = number

    def remove_alias(self, name: str, alias: str) -> None:
        """The alias names no version, as somebody's hand may leave it."""
        self._aliases.pop((name, alias))

    def record(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        self._called("record")
        _refuse_digest(tags)
        version = self._standing(name, number)
        self._versions[name][number - 1] = replace(version, tags={**version.tags, **tags})

    def fetch(self, name: str, number: int, into: Path) -> Path:
        self._called("fetch")
        version = self._standing(name, number)
        package = self._home / name / str(number)
        if digest(package) != version.digest:
            raise ServiceError(f"version {number} of model {name} was altered, but a version never changes")
        return Path(shutil.copytree(package, into))

    def alter(self, name: str, number: int) -> None:
        """The version's files are not those that were registered, as damage may leave them."""
        (self._home / name / str(number) / "altered").write_text("altered")

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if self.down:
            raise TransientServiceError("the registry is down, but a call was made to it")

    def _standing(self, name: str, number: int) -> ModelVersion:
        for version in self._versions.get(name, []):
            if version.number == number:
                return version
        raise NotFoundError(f"version {number} of model {name} is named, but was never registered")

    def _seen(self, version: ModelVersion) -> ModelVersion:
        named = [
            alias for (name, alias), number in self._aliases.items() if (name, number) == (version.name, version.number)
        ]
        return replace(version, aliases=tuple(sorted(named)))


def _refuse_digest(tags: Mapping[str, str]) -> None:
    if "digest" in tags:
        raise DeclarationError("tag digest is given, but it is worked out from the package")
